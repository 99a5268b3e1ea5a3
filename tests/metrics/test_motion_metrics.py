from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from soke.metrics.dtw import dtw_jpe
from soke.metrics.joint_sets import BODY_JOINTS
from soke.metrics.motion import DTWJPE, JointError


def track(seed: int, frames: int, points: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (frames, points, 3))


def clip(index: int, points: int = 144) -> tuple[np.ndarray, np.ndarray]:
    return track(2 * index, 5 + index, points), track(2 * index + 1, 7, points)


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_body_is_the_mean_over_clips_in_both_units(align: str) -> None:
    metric = DTWJPE("body", align)
    for index in range(3):
        metric.update(index, f"clip{index}", *clip(index))
    results = [dtw_jpe(*clip(index), align, BODY_JOINTS.scored) for index in range(3)]
    score = metric.compute()
    assert score["m"] == pytest.approx(np.mean([result.cost for result in results]))
    assert score["mm"] == pytest.approx(np.mean([1000 * result.cost / result.path_length for result in results]))
    assert metric.per_clip()[1] == pytest.approx((results[1].cost, results[1].mean_mm))


def test_hand_is_the_mean_of_both_sides() -> None:
    (left_pred, left_ref), (right_pred, right_ref) = clip(0, 21), clip(1, 21)
    metric = DTWJPE("hand", "procrustes")
    metric.update(0, "a", (left_pred, right_pred), (left_ref, right_ref))
    left, right = dtw_jpe(left_pred, left_ref, "procrustes"), dtw_jpe(right_pred, right_ref, "procrustes")
    assert metric.compute()["m"] == pytest.approx((left.cost + right.cost) / 2)
    assert metric.compute()["mm"] == pytest.approx((left.mean_mm + right.mean_mm) / 2)


def test_a_clip_scored_twice_counts_once_and_tensors_do_as_arrays() -> None:
    metric = DTWJPE("body", "root")
    for index in (0, 1, 0):
        metric.update(index, "a", *(torch.from_numpy(part).float() for part in clip(index)))
    expected = np.mean([dtw_jpe(*clip(index), "root", BODY_JOINTS.scored).cost for index in (0, 1)])
    assert metric.compute()["m"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_reset_and_nothing_scored() -> None:
    metric = DTWJPE("body", "root")
    metric.update(0, "a", *clip(0))
    metric.reset()
    assert metric.per_clip() == {}
    with pytest.raises(ValueError, match="DTW-JPE was asked for before any clip"):
        metric.compute()


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (np.zeros((0, 144, 3)), "no frames"),
        (np.full((2, 144, 3), np.nan), "NaN"),
        (np.zeros((2, 55, 3)), "55 joints, a body has 144"),
        (np.zeros((2, 144)), "shape"),
    ],
)
def test_bad_body_names_the_clip_and_leaves_no_trace(pred: np.ndarray, message: str) -> None:
    metric = DTWJPE("body", "root")
    with pytest.raises(ValueError, match=f"clip S000020 cannot be scored: .*{message}"):
        metric.update(0, "S000020", pred, np.zeros((2, 144, 3)))
    assert metric.per_clip() == {}


def test_one_hand_alone_is_refused() -> None:
    hands = np.zeros((2, 3, 21, 3))
    with pytest.raises(ValueError, match="clip a cannot be scored"):
        DTWJPE("hand", "root").update(0, "a", hands[:1], hands)


def test_signatures() -> None:
    metric = DTWJPE("hand", "procrustes", fps=25, body="stand-in", layout="abc", statistics="def", method="fastdtw")
    assert str(metric.signature) == (
        "DTW-PA-JPE|hand|align:procrustes|joints:21of21|dtw:fastdtw|units:m,mm|fps:25|body:stand-in|layout:abc|"
        "stats:def|v:1"
    )
    assert DTWJPE("body", "root").signature.name == "DTW-JPE"
    assert str(JointError("PA-MPVPE", "procrustes", joints="mesh").signature) == (
        "PA-MPVPE|align:procrustes|joints:mesh|units:mm|v:1"
    )


def test_joint_error_is_the_mean_over_frames_not_clips() -> None:
    metric = JointError("MPJPE", "root")
    ref = torch.zeros(1, 2, 3)
    moved = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]])  # mean error 100 mm
    metric.update("a", moved + 5.0, ref)  # where it stands does not matter
    metric.update("b", ref.expand(3, 2, 3), ref.expand(3, 2, 3))
    assert metric.compute()["mm"] == pytest.approx(25.0)


def test_pa_joint_error_ignores_similarity() -> None:
    ref = torch.from_numpy(track(0, 4, 6))
    metric = JointError("PA-MPJPE", "procrustes")
    metric.update("a", 2.0 * ref.flip(-1) * torch.tensor([1.0, 1.0, -1.0]) + 1.0, ref)  # a proper rotation, doubled
    assert metric.compute()["mm"] == pytest.approx(0.0, abs=1e-9)
    metric.update("b", torch.from_numpy(track(1, 4, 6)), ref)
    assert metric.compute()["mm"] > 10


def test_all_points_are_aligned_and_only_some_scored() -> None:
    ref = torch.zeros(1, 3, 3)
    moved = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.6, 0.0, 0.0]]])
    metric = JointError("MPJPE", "root", scored=(1,))
    metric.update("a", moved, ref)
    assert metric.compute()["mm"] == pytest.approx(200.0)


@pytest.mark.parametrize("align", ["root", "procrustes"])
@pytest.mark.parametrize(
    ("pred", "ref", "message"),
    [
        (torch.zeros(0, 5, 3), torch.zeros(0, 5, 3), "no frames"),
        (torch.full((2, 5, 3), float("nan")), torch.zeros(2, 5, 3), "NaN"),
        (torch.zeros(2, 5, 3), torch.full((2, 5, 3), float("inf")), "NaN or infinite"),
        (torch.zeros(2, 5, 3), torch.zeros(3, 5, 3), "shape"),
    ],
)
def test_bad_points_name_the_clip(pred: torch.Tensor, ref: torch.Tensor, align: str, message: str) -> None:
    metric = JointError("MPJPE", align)
    with pytest.raises(ValueError, match=f"clip x cannot be scored: .*{message}"):
        metric.update("x", pred, ref)
    with pytest.raises(ValueError, match="before any clip"):
        metric.compute()


SHARES = {"overlapping": [[0, 1, 2], [2, 3]], "one process without clips": [[0, 1], []]}


def _score_shares(rank: int, address: str, results: mp.SimpleQueue) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    for name, shares in SHARES.items():
        metric = DTWJPE("body", "root")
        for index in shares[rank]:
            metric.update(index, str(index), *clip(index))
        whole = metric.compute()["m"].item()
        results.put((name, rank, whole, sorted(metric.per_clip())))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
def test_processes_agree_on_the_mean_over_distinct_clips(tmp_path: Path) -> None:
    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_score_shares, (f"file://{tmp_path / 'rendezvous'}", results), nprocs=2)
    gathered = {(name, rank): (whole, own) for name, rank, whole, own in (results.get() for _ in range(4))}
    for name, shares in SHARES.items():
        scored = set().union(*shares)
        expected = np.mean([dtw_jpe(*clip(index), "root", BODY_JOINTS.scored).cost for index in scored])
        for rank, share in enumerate(shares):
            whole, own = gathered[name, rank]
            assert whole == pytest.approx(expected)
            assert own == share  # after computing, each process holds its own clips again
