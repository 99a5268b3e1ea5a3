from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from dtw_reference import frame_costs, naive_dtw_jpe, root_aligned, similarity_aligned

from soke.errors import UserError
from soke.metrics.dtw import dtw_jpe
from soke.metrics.joint_sets import BODY_JOINTS

GOLDEN = Path(__file__).parents[1] / "data" / "golden_dtw_jpe.npz"
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


@pytest.mark.parametrize("where", [0.0, 1 / 3, 1e3])
def test_a_predicted_frame_of_one_point_ends_on_the_mean(rng: np.random.Generator, where: float) -> None:
    ref = smooth_track(rng, 1)
    expected = np.linalg.norm(ref[0] - ref[0].mean(axis=0), axis=-1).mean()
    assert dtw_jpe(np.full((1, 9, 3), where), ref, "procrustes").cost == pytest.approx(expected, rel=1e-9)
    assert dtw_jpe(ref, np.full((1, 9, 3), where), "procrustes").cost == pytest.approx(0.0, abs=1e-9)


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
