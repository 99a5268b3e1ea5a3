"""Errors frame by frame: what is averaged over what, and what is refused."""
from __future__ import annotations

import pytest
import torch

from soke.metrics.motion_errors import JointError


def test_signature() -> None:
    assert str(JointError("PA-MPVPE", "procrustes", joints="mesh").signatures[0]) == (
        "PA-MPVPE|align:procrustes|joints:mesh|units:mm|v:1"
    )


def mm(metric: JointError) -> float:
    (score,) = metric.scores()
    return score.values["mm"]


def test_joint_error_is_the_mean_over_frames_not_clips() -> None:
    metric = JointError("MPJPE", "root")
    ref = torch.zeros(1, 2, 3)
    moved = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]])  # mean error 100 mm
    metric.update("a", (moved + 5.0, ref))  # where it stands does not matter
    metric.update("b", (ref.expand(3, 2, 3), ref.expand(3, 2, 3)))
    assert mm(metric) == pytest.approx(25.0)


def test_a_clip_of_two_point_sets_is_the_mean_of_both() -> None:
    ref, moved = torch.zeros(1, 2, 3), torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]])
    metric = JointError("MPJPE", "root")
    metric.update("a", (moved, ref), (ref, ref))
    assert mm(metric) == pytest.approx(50.0)
    assert metric.scores()[0].clips == 1


def test_pa_joint_error_ignores_similarity() -> None:
    first, second = torch.randn(2, 4, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric = JointError("PA-MPJPE", "procrustes")
    turned = first.flip(-1) * torch.tensor([1.0, 1.0, -1.0])  # a proper rotation
    metric.update("a", (2.0 * turned + 1.0, first))
    assert mm(metric) == pytest.approx(0.0, abs=1e-9)
    metric.update("b", (second, first))
    assert mm(metric) > 10


def test_all_points_are_aligned_and_only_some_scored() -> None:
    ref = torch.zeros(1, 3, 3)
    moved = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.6, 0.0, 0.0]]])
    metric = JointError("MPJPE", "root", scored=(1,))
    metric.update("a", (moved, ref))
    assert mm(metric) == pytest.approx(200.0)


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
        metric.update("x", (pred, ref))
    with pytest.raises(ValueError, match="before any clip"):
        metric.scores()
