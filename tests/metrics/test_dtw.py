from __future__ import annotations

import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from soke.errors import UserError
from soke.metrics import dtw
from soke.metrics.dtw import DtwResult, dtw_jpe, dtw_jpe_pairs
from soke.metrics.joint_sets import BODY_JOINTS
from tests.metrics.dtw_reference import frame_costs, naive_dtw_jpe, root_aligned, similarity_aligned

GOLDEN = Path(__file__).parents[1] / "golden" / "dtw_jpe.npz"
ALIGN_OF = {"jpe": "root", "pa": "procrustes"}
GOLDEN_SCORES = [
    f"case{case}_{align}_{what}" for case in (0, 4) for align in ALIGN_OF for what in ("body12", "body_all", "hand")
]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def smooth_track(rng: np.random.Generator, frames: int, joints: int = 9) -> np.ndarray:
    return rng.normal(0, 0.3, (1, joints, 3)) + np.cumsum(rng.normal(0, 0.02, (frames, joints, 3)), axis=0)


def ragged_tracks(rng: np.random.Generator, joints: int = 9) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predictions and references of many lengths, the longest pair neither first nor last."""
    frames = [(1, 1), (13, 9), (1, 7), (6, 1), (8, 21), (30, 2), (13, 9)]
    return tuple([smooth_track(rng, pair[side], joints) for pair in frames] for side in (0, 1))


def almost_mirrored(rng: np.random.Generator, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """A frame and a mirrored one, [1, 9, 3] each, for which a second rotation is best when `separation` is 0."""
    axes = np.linalg.qr(np.concatenate([np.ones((9, 1)), rng.normal(size=(9, 3))], axis=1))[0][:, 1:]
    pred, ref = axes * [1.0, 0.6, 0.6], axes * [1.0, 0.5, -0.5 * (1.0 - separation)]
    return (pred @ random_rotation(rng))[None], (ref @ random_rotation(rng))[None]


def one_point(rng: np.random.Generator, frames: int) -> np.ndarray:
    """[frames, 9, 3] points that coincide but for rounding."""
    return 0.7 * (1.0 + np.finfo(np.float64).eps * rng.integers(-4, 5, (frames, 9, 3)))


def tied_tracks() -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Tracks with two cheapest paths, mirror images of each other, and the one to be found."""
    pred = np.zeros((3, 2, 3))
    pred[:, 1, 0] = [-1.0, 1.0, -1.0]
    return pred, -pred, [[0, 0, 1, 2], [0, 1, 2, 2]]


def assert_same(result: DtwResult, expected: DtwResult) -> None:
    assert result.cost == expected.cost
    np.testing.assert_array_equal(result.path, expected.path)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("key", GOLDEN_SCORES)
def test_golden(golden: dict[str, np.ndarray], key: str) -> None:
    case, align, what = key.split("_", 2)
    part = "hand" if what == "hand" else "body"
    joints = golden["body_subset"] if what == "body12" else None
    result = dtw_jpe(golden[f"{case}_x_{part}"], golden[f"{case}_y_{part}"], ALIGN_OF[align], joints)
    assert result.cost == pytest.approx(float(golden[key]), rel=1e-5)
    assert result.cost == pytest.approx(float(golden[f"{key}_f64"]), rel=1e-10)
    if f"{key}_path" in golden:
        np.testing.assert_array_equal(result.path, golden[f"{key}_path"])
        assert result.path_length == golden[f"{key}_path"].shape[1]


@pytest.mark.parametrize("align", ALIGN_OF)
@pytest.mark.parametrize("what", ["body12", "body_all", "hand"])
def test_golden_pairs(golden: dict[str, np.ndarray], align: str, what: str) -> None:
    preds, refs = ([golden[f"case{case}_{side}_{what[:4]}"] for case in (0, 4)] for side in "xy")
    joints = golden["body_subset"] if what == "body12" else None
    results = dtw_jpe_pairs(preds, refs, ALIGN_OF[align], joints)
    expected = [float(golden[f"case{case}_{align}_{what}"]) for case in (0, 4)]
    assert [result.cost for result in results] == pytest.approx(expected, rel=1e-5)


def test_body_joints_are_the_published_ones(golden: dict[str, np.ndarray]) -> None:
    assert BODY_JOINTS.scored == tuple(golden["body_subset"])
    assert BODY_JOINTS.total == golden["case0_x_body"].shape[1]


@pytest.mark.parametrize("align", ["root", "procrustes"])
@pytest.mark.parametrize("frames", [(1, 1), (1, 7), (6, 1), (13, 9), (8, 21)])
@pytest.mark.parametrize("joints", [None, [4], [8, 2, 5]])
def test_equals_the_naive_loop(
    rng: np.random.Generator, align: str, frames: tuple[int, int], joints: list[int] | None
) -> None:
    pred, ref = (smooth_track(rng, count) for count in frames)
    expected = naive_dtw_jpe(pred, ref, align, np.arange(9) if joints is None else np.array(joints))
    assert dtw_jpe(pred, ref, align, joints).cost == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_path_is_a_warping_path_of_that_cost(rng: np.random.Generator, align: str) -> None:
    pred, ref = smooth_track(rng, 17), smooth_track(rng, 11)
    result = dtw_jpe(pred, ref, align)
    assert result.path[:, 0].tolist() == [0, 0]
    assert result.path[:, -1].tolist() == [16, 10]
    steps = np.diff(result.path, axis=1)
    assert set(map(tuple, steps.T)) <= {(1, 1), (1, 0), (0, 1)}
    costs = frame_costs(pred, ref, align, np.arange(9))
    assert costs[tuple(result.path)].sum() == pytest.approx(result.cost, rel=1e-11)
    assert result.path_length == result.path.shape[1]
    assert result.mean_mm == pytest.approx(1000 * result.cost / result.path_length)


def test_root_alignment_ignores_where_the_body_stands(rng: np.random.Generator) -> None:
    pred, ref = smooth_track(rng, 10), smooth_track(rng, 12)
    moved = pred + rng.normal(size=(10, 1, 3))
    assert dtw_jpe(moved, ref, "root").cost == pytest.approx(dtw_jpe(pred, ref, "root").cost, rel=1e-12)
    assert dtw_jpe(2.0 * pred, ref, "root").cost != pytest.approx(dtw_jpe(pred, ref, "root").cost, rel=1e-3)


def test_procrustes_ignores_similarities_of_each_predicted_frame(rng: np.random.Generator) -> None:
    pred, ref = smooth_track(rng, 10), smooth_track(rng, 12)
    changed = np.stack([rng.uniform(0.2, 5) * frame @ random_rotation(rng) + rng.normal(size=3) for frame in pred])
    expected = dtw_jpe(pred, ref, "procrustes", [1, 2]).cost
    assert dtw_jpe(changed, ref, "procrustes", [1, 2]).cost == pytest.approx(expected, rel=1e-11)


def test_procrustes_does_not_undo_a_mirror(rng: np.random.Generator) -> None:
    ref = smooth_track(rng, 5)
    mirrored = ref * np.array([-1.0, 1.0, 1.0])
    cost = dtw_jpe(mirrored, ref, "procrustes").cost
    assert cost > 0.01
    assert cost == pytest.approx(naive_dtw_jpe(mirrored, ref, "procrustes", np.arange(9)), rel=1e-11)


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_a_slower_copy_costs_nothing_and_ties_go_to_the_diagonal(rng: np.random.Generator, align: str) -> None:
    ref = smooth_track(rng, 8)
    assert dtw_jpe(np.repeat(ref, 3, axis=0), ref, align).cost == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(dtw_jpe(ref, ref, align).path, np.stack([np.arange(8), np.arange(8)]))
    still = np.zeros((6, 4, 3))
    assert dtw_jpe(still, still, align).path_length == 6


def test_other_ties_go_to_the_previous_predicted_frame() -> None:
    pred, ref, path = tied_tracks()
    assert dtw_jpe(pred, ref, "root").path.tolist() == path


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_planar_frames(rng: np.random.Generator, align: str) -> None:
    pred, ref = smooth_track(rng, 6), smooth_track(rng, 7)
    pred[..., 2] = 0.0
    expected = naive_dtw_jpe(pred, ref, align, np.arange(9))
    assert dtw_jpe(pred, ref, align).cost == pytest.approx(expected, rel=1e-9)
    assert dtw_jpe(pred, pred @ random_rotation(rng), "procrustes").cost == pytest.approx(0.0, abs=1e-12)


def test_collinear_frames_align_exactly(rng: np.random.Generator) -> None:
    pred = rng.normal(size=(9, 1)) * np.array([1.0, 0.0, 0.0])
    ref = 3.0 * pred @ random_rotation(rng) + 1.0
    assert dtw_jpe(pred[None], ref[None], "procrustes").cost == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("separation", [0.5, 1e-1, 2e-2, 1e-2, 1e-3, 1e-4, 1e-6])
def test_frames_whose_best_rotation_is_hard_to_tell(rng: np.random.Generator, separation: float) -> None:
    pred, ref = almost_mirrored(rng, separation)
    expected = naive_dtw_jpe(pred, ref, "procrustes", np.arange(9))
    assert dtw_jpe(pred, ref, "procrustes").cost == pytest.approx(expected, rel=1e-15 / separation + 1e-11)


def test_an_easy_frame_is_not_disturbed_by_a_hard_one(rng: np.random.Generator) -> None:
    easy, (hard, ref) = smooth_track(rng, 1), almost_mirrored(rng, 1e-4)
    costs = [dtw_jpe(easy, frame, "procrustes").cost for frame in (hard, ref, easy + 1.0)]
    together = dtw_jpe(easy, np.concatenate([hard, ref, easy + 1.0]), "procrustes").cost
    assert together == pytest.approx(sum(costs), rel=1e-11)


@pytest.mark.parametrize("where", [0.0, 1 / 3, 1e3])
def test_a_predicted_frame_of_one_point_ends_on_the_mean(rng: np.random.Generator, where: float) -> None:
    ref = smooth_track(rng, 1)
    expected = np.linalg.norm(ref[0] - ref[0].mean(axis=0), axis=-1).mean()
    assert dtw_jpe(np.full((1, 9, 3), where), ref, "procrustes").cost == pytest.approx(expected, rel=1e-9)
    assert dtw_jpe(ref, np.full((1, 9, 3), where), "procrustes").cost == pytest.approx(0.0, abs=1e-9)


def test_points_that_differ_by_rounding_are_one_point(rng: np.random.Generator) -> None:
    ref, point = smooth_track(rng, 1), one_point(rng, 1)
    expected = np.linalg.norm(ref[0] - ref[0].mean(axis=0), axis=-1).mean()
    assert dtw_jpe(point, ref, "procrustes").cost == pytest.approx(expected, rel=1e-9)
    assert dtw_jpe(ref, point, "procrustes").cost == pytest.approx(0.0, abs=1e-12)


def test_pairs_are_aligned_over_all_joints_not_only_the_scored(rng: np.random.Generator) -> None:
    pred, ref = smooth_track(rng, 1), smooth_track(rng, 1)
    for align, aligned in (("root", root_aligned), ("procrustes", similarity_aligned)):
        expected = np.linalg.norm(aligned(pred[0], ref[0])[3] - ref[0, 3])
        assert dtw_jpe(pred, ref, align, [3]).cost == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_fastdtw_is_an_upper_bound_near_the_exact_cost(rng: np.random.Generator, align: str) -> None:
    pytest.importorskip("fastdtw")
    ref = smooth_track(rng, 30)
    pred = np.repeat(ref, 2, axis=0) + rng.normal(0, 0.01, (60, 9, 3))
    exact, fast = dtw_jpe(pred, ref, align, [1, 2]), dtw_jpe(pred, ref, align, [1, 2], method="fastdtw")
    assert exact.cost * (1 - 1e-12) <= fast.cost <= 1.05 * exact.cost
    costs = frame_costs(pred, ref, align, np.array([1, 2]))
    assert costs[tuple(fast.path)].sum() == pytest.approx(fast.cost, rel=1e-9)


def test_fastdtw_missing_says_what_to_install(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastdtw", None)
    with pytest.raises(UserError, match="pip install fastdtw"):
        dtw_jpe(smooth_track(rng, 3), smooth_track(rng, 3), "root", method="fastdtw")


@pytest.mark.parametrize("align", ["root", "procrustes"])
@pytest.mark.parametrize("joints", [None, [4], np.array([8, 2, 5], dtype=np.int32)])
def test_pairs_are_scored_as_each_alone(
    rng: np.random.Generator, align: str, joints: list[int] | np.ndarray | None
) -> None:
    preds, refs = ragged_tracks(rng)
    for result, pred, ref in zip(dtw_jpe_pairs(preds, refs, align, joints), preds, refs, strict=True):
        assert_same(result, dtw_jpe(pred, ref, align, joints))


def test_pairs_by_fastdtw(rng: np.random.Generator) -> None:
    pytest.importorskip("fastdtw")
    preds, refs = ragged_tracks(rng)
    results = dtw_jpe_pairs(preds, refs, "root", method="fastdtw")
    for result, pred, ref in zip(results, preds, refs, strict=True):
        assert_same(result, dtw_jpe(pred, ref, "root", method="fastdtw"))


def test_no_pairs() -> None:
    assert dtw_jpe_pairs([], [], "root") == []


def test_pairs_keep_to_the_threads_of_numba_longest_first(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def recorded(pred: np.ndarray, ref: np.ndarray, *args, **settings) -> DtwResult:
        calls.append((threading.get_ident(), len(pred) * len(ref)))
        return dtw_jpe(pred, ref, *args, **settings)

    monkeypatch.setattr(dtw, "dtw_jpe", recorded)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
    dtw_jpe_pairs(*ragged_tracks(rng), "root")
    assert len({thread for thread, _ in calls}) == 1
    assert [size for _, size in calls] == [168, 117, 117, 60, 7, 6, 1]


GOOD = np.zeros((4, 5, 3))
WITH_NAN = np.where(np.arange(4)[:, None, None] == 2, np.nan, GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": GOOD[:0]}, "prediction has no frames"),
        ({"ref": GOOD[:0]}, "reference has no frames"),
        ({"pred": WITH_NAN}, "prediction holds NaN or infinite positions, first in frame 2"),
        ({"ref": WITH_NAN}, "reference holds NaN"),
        ({"pred": GOOD[0]}, r"prediction has shape \[5, 3\]"),
        ({"ref": GOOD[..., :2]}, r"reference has shape \[4, 5, 2\]"),
        ({"ref": GOOD[:, :4]}, "5 joints and the reference 4"),
        ({"joints": [5]}, "outside 0 to 4"),
        ({"joints": [-1]}, "outside 0 to 4"),
        ({"joints": []}, "at least one joint"),
        ({"joints": [0.0]}, "at least one joint"),
        ({"align": "pa"}, "root, procrustes"),
        ({"method": "slow"}, "exact, fastdtw"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dtw_jpe(**{"pred": GOOD, "ref": GOOD, "align": "root", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preds": [GOOD]}, "1 predictions and 2 references"),
        ({"preds": [GOOD, GOOD[:0]]}, "pair 1: the prediction has no frames"),
        ({"refs": [GOOD, WITH_NAN]}, "pair 1: the reference holds NaN or infinite positions, first in frame 2"),
        ({"preds": [GOOD[0], GOOD]}, r"pair 0: the prediction has shape \[5, 3\]"),
        ({"refs": [GOOD, GOOD[:, :4]]}, "pair 1: the prediction has 5 joints and the reference 4"),
        ({"joints": [5]}, "pair 0: joints holds indices outside 0 to 4"),
        ({"align": "pa"}, "^align is 'pa', it must be one of root, procrustes"),
        ({"method": "slow"}, "^method is 'slow', it must be one of exact, fastdtw"),
    ],
)
def test_bad_pairs(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dtw_jpe_pairs(**{"preds": [GOOD, GOOD], "refs": [GOOD, GOOD], "align": "root", **change})
