"""The batched DTW gives the numbers of the compiled one, on every device."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.metrics import dtw_torch
from soke.metrics.dtw import DtwResult, dtw_jpe, dtw_jpe_pairs
from soke.metrics.dtw_torch import dtw_jpe_batch
from tests.metrics.dtw_reference import frame_costs
from tests.metrics.test_dtw import (
    ALIGN_OF,
    GOLDEN,
    almost_mirrored,
    one_point,
    ragged_tracks,
    random_rotation,
    smooth_track,
    tied_tracks,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def tensors(tracks: list[np.ndarray], device: str = "cpu") -> list[torch.Tensor]:
    return [torch.tensor(track, device=device) for track in tracks]


def assert_close(results: list[DtwResult], expected: list[DtwResult], rel: float = 1e-9) -> None:
    for result, other in zip(results, expected, strict=True):
        assert result.cost == pytest.approx(other.cost, rel=rel, abs=1e-12)
        if other.cost > 1e-9:  # otherwise rounding chooses between paths that cost nothing
            np.testing.assert_array_equal(result.path, other.path)


@pytest.mark.parametrize("align", ["root", "procrustes"])
@pytest.mark.parametrize("joints", [None, [4], [8, 2, 5]])
@pytest.mark.parametrize("batch", [1, 3, 128])
def test_equals_the_compiled_one(rng: np.random.Generator, align: str, joints: list[int] | None, batch: int) -> None:
    preds, refs = ragged_tracks(rng)
    results = dtw_jpe_batch(tensors(preds), tensors(refs), align, joints, batch=batch)
    assert_close(results, dtw_jpe_pairs(preds, refs, align, joints))


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_costs_may_be_computed_in_pieces(
    rng: np.random.Generator, align: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    preds, refs = ragged_tracks(rng)
    monkeypatch.setattr(dtw_torch, "FRAME_PAIRS", 300)
    assert_close(dtw_jpe_batch(tensors(preds), tensors(refs), align), dtw_jpe_pairs(preds, refs, align))


@pytest.mark.parametrize("align", ALIGN_OF)
@pytest.mark.parametrize("what", ["body12", "body_all", "hand"])
def test_golden(align: str, what: str) -> None:
    with np.load(GOLDEN) as golden:
        preds, refs = ([golden[f"case{case}_{side}_{what[:4]}"] for case in (0, 4)] for side in "xy")
        joints = golden["body_subset"] if what == "body12" else None
        expected = [float(golden[f"case{case}_{align}_{what}"]) for case in (0, 4)]
    results = dtw_jpe_batch(tensors(preds), tensors(refs), ALIGN_OF[align], joints)
    assert [result.cost for result in results] == pytest.approx(expected, rel=1e-5)


def odd_pairs(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Mirrored, planar, collinear and coincident points, on either side and in some frames of a track."""
    preds, refs = ([smooth_track(rng, frames) for _ in range(11)] for frames in (6, 8))
    line = np.array([1.0, -2.0, 0.5])
    preds[0] = refs[0] * [-1.0, 1.0, 1.0]
    preds[1][..., 2] = 0.0
    refs[2] = refs[2] * [1.0, 1.0, 0.0] @ random_rotation(rng)
    preds[3] = preds[3][..., :1] * line
    refs[4] = refs[4][..., :1] * line
    preds[5], refs[5] = preds[5][..., :1] * line, refs[5][..., :1] * [0.0, 0.0, 1.0]
    preds[6][:] = one_point(rng, 6)
    refs[7][:] = one_point(rng, 8)
    preds[8][:], refs[8][:] = 0.1, 0.7
    preds[9][2:4], refs[9][3] = 1 / 3, 0.0
    preds[10][1], refs[10][5] = preds[10][1, :, :1] * line, 0.1
    return preds, refs


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_degenerate_frames(rng: np.random.Generator, align: str) -> None:
    preds, refs = odd_pairs(rng)
    assert_close(dtw_jpe_batch(tensors(preds), tensors(refs), align), dtw_jpe_pairs(preds, refs, align))


@pytest.mark.parametrize("joints", [1, 2, 3, 4])
def test_few_joints(rng: np.random.Generator, joints: int) -> None:
    preds, refs = ragged_tracks(rng, joints)
    assert_close(dtw_jpe_batch(tensors(preds), tensors(refs), "procrustes"), dtw_jpe_pairs(preds, refs, "procrustes"))


@pytest.mark.parametrize("separation", [0.5, 1e-1, 2e-2, 1e-2, 1e-3, 1e-4, 1e-6])
def test_frames_whose_best_rotation_is_hard_to_tell(rng: np.random.Generator, separation: float) -> None:
    pred, ref = almost_mirrored(rng, separation)
    results = dtw_jpe_batch(tensors([pred]), tensors([ref]), "procrustes")
    assert_close(results, [dtw_jpe(pred, ref, "procrustes")], rel=1e-15 / separation + 1e-11)


def test_ties_go_to_the_diagonal_near_the_end() -> None:
    still = [np.zeros((frames, 4, 3)) for frames in (6, 4, 9)]
    expected = dtw_jpe_pairs(still, still[::-1], "root")
    for result, other in zip(dtw_jpe_batch(tensors(still), tensors(still[::-1]), "root"), expected, strict=True):
        np.testing.assert_array_equal(result.path, other.path)
        assert result.path_length == max(other.path[:, -1]) + 1


def test_other_ties_go_to_the_previous_predicted_frame() -> None:
    pred, ref, path = tied_tracks()
    (result,) = dtw_jpe_batch(tensors([pred]), tensors([ref]), "root")
    assert result.path.tolist() == path


def test_single_precision_is_scored_in_double(rng: np.random.Generator) -> None:
    preds, refs = ([track.astype(np.float32) for track in tracks] for tracks in ragged_tracks(rng))
    assert_close(dtw_jpe_batch(tensors(preds), tensors(refs), "procrustes"), dtw_jpe_pairs(preds, refs, "procrustes"))


def test_no_pairs() -> None:
    assert dtw_jpe_batch([], [], "root") == []


GOOD = torch.zeros(4, 5, 3)
WITH_NAN = GOOD.clone()
WITH_NAN[2, 1, 0] = torch.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preds": [GOOD]}, "1 predictions and 2 references"),
        ({"preds": [GOOD, GOOD[:0]]}, "pair 1: the prediction has no frames"),
        ({"refs": [GOOD[:3], WITH_NAN]}, "pair 1: the reference holds NaN or infinite positions, first in frame 2"),
        ({"preds": [WITH_NAN, GOOD[:3]]}, "pair 0: the prediction holds NaN or infinite positions, first in frame 2"),
        ({"preds": [GOOD[0], GOOD]}, r"pair 0: the prediction has shape \[5, 3\]"),
        ({"refs": [GOOD, GOOD[..., :2]]}, r"pair 1: the reference has shape \[4, 5, 2\]"),
        ({"refs": [GOOD, GOOD[:, :4]]}, "pair 1: the prediction has 5 joints and the reference 4"),
        ({"preds": [GOOD, GOOD[:, :4]], "refs": [GOOD, GOOD[:, :4]]}, "pair 1: it has 4 joints and pair 0 has 5"),
        ({"joints": [5]}, "outside 0 to 4"),
        ({"joints": []}, "at least one joint"),
        ({"align": "pa"}, "^align is 'pa', it must be one of root, procrustes"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dtw_jpe_batch(**{"preds": [GOOD, GOOD], "refs": [GOOD, GOOD], "align": "root", **change})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_on_the_gpu(rng: np.random.Generator, align: str) -> None:
    (more_preds, more_refs), (preds, refs) = ragged_tracks(rng), odd_pairs(rng)
    preds, refs = preds + more_preds, refs + more_refs
    results = dtw_jpe_batch(tensors(preds, "cuda"), tensors(refs, "cuda"), align)
    for pred, ref, result, other in zip(preds, refs, results, dtw_jpe_pairs(preds, refs, align), strict=True):
        assert result.cost == pytest.approx(other.cost, rel=1e-9, abs=1e-12)
        ends = result.path[:, [0, -1]].T.tolist()  # of equally cheap paths between them, rounding chooses one
        assert ends == [[0, 0], [len(pred) - 1, len(ref) - 1]]
        if align == "root":
            costs = frame_costs(pred, ref, align, np.arange(pred.shape[1]))
            assert costs[tuple(result.path)].sum() == pytest.approx(other.cost, rel=1e-9, abs=1e-9)
