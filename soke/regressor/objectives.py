"""Objectives: what a batch of clips is trained by, of the errors of each."""
from __future__ import annotations

from torch import Tensor, nn

from soke.regressor.settings import OBJECTIVES


class Objective(nn.Module):
    """The loss of a batch. What it keeps from batch to batch stands in buffers, and is the same in all processes."""

    def forward(self, errors: Tensor, squared: Tensor, frames: Tensor) -> Tensor:
        """The loss [].

        errors:  [B] the error of each clip, a mean over its frames
        squared: [B] the mean squared error of each clip's features, without a gradient
        frames:  [B] of each clip
        """
        raise NotImplementedError


class MeanError(Objective):
    """Every frame of the batch counts the same."""

    def forward(self, errors: Tensor, squared: Tensor, frames: Tensor) -> Tensor:
        return (errors * frames).sum() / frames.sum()


_KINDS: dict[str, type[Objective]] = {"mse": MeanError}
assert tuple(_KINDS) == OBJECTIVES


def new_objective(name: str) -> Objective:
    return _KINDS[name]()
