"""What a training step of a regressor minimises: the error of all clips, or that of clips chosen by their rewards."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from soke.regressor.priority import channel_of, weights_of
from soke.regressor.settings import Priority
from soke.run import processes

_TINY = 1e-300  # in place of 0 in denominators


@dataclass
class Chosen:
    """What an objective makes of a step.

    loss:   [] with a gradient
    frames: [] how many it is a mean of, in means over processes and batches
    values: name -> [] to be logged, means over the clips of all processes: reward; where clips are weighted,
            effective_share, the effective sample size (sum w)^2 / sum w^2 as a share of them; of plc, skipped, a share
    """

    loss: Tensor
    frames: Tensor
    values: dict[str, Tensor] = field(default_factory=dict)


class Objectives(nn.Module):
    """Objectives that take turns, each with its share of the batches.

    mse: the error of all frames; rwr: clips are weighted by exp(r / temperature) over its mean (reward-weighted
    regression); plc: those that the channel keeps are weighted by their priorities (SignLLM). A reward r is a clip's
    negative mean squared error. Weights are of a clip's frames, among those of all processes, so that gradients are
    those of one process with all the clips; with equal weights they are those of mse.

    shares:   objective -> share of the batches; together 1
    priority: of plc; its temperature is that of rwr, too
    """

    VALUES = ("reward", "effective_share", "skipped")

    def __init__(self, shares: Mapping[str, float], priority: Priority):
        super().__init__()
        self.shares = {kind: share for kind, share in shares.items() if share}
        self.priority, self.channel = priority, channel_of(priority)

    def draw(self, agreed: Callable[[float], float] = float) -> str:
        """A batch's objective. agreed: what the first process draws, known to all; every process must call it."""
        kinds = list(self.shares)
        if len(kinds) == 1:
            return kinds[0]
        drawn = agreed(torch.rand((), dtype=torch.float64).item())
        below = sum(drawn >= bound for bound in itertools.accumulate(self.shares.values()))
        return kinds[min(below, len(kinds) - 1)]

    def forward(self, kind: str, errors: Tensor, squared: Tensor, frames: Tensor, epoch: int) -> Chosen:
        """Every process must call it for every batch, also for one without clips.

        kind:    as drawn
        errors:  [B] what is minimised of each clip, a mean over its frames
        squared: [B] the mean squared error of each clip's features
        frames:  [B] of each clip
        epoch:   counted from 0
        """
        own = torch.stack([-squared.detach(), frames.to(squared)], dim=1).double()
        everyone = [own] if self.shares.keys() == {"mse"} else processes.tensors_of_all(own)
        rewards, counts = torch.cat(everyone).unbind(1)
        values = {"reward": rewards.mean()} if len(rewards) else {}
        if self.shares.keys() == {"mse"}:  # nobody needs the others' rewards
            return self._plain(errors, frames, values)
        p, skips = self.priority, kind == "plc" and epoch >= self.priority.warmup
        kept = torch.cat(self.channel([of_one[:, 0] for of_one in everyone], skips))
        if kind == "mse" or not values:
            return self._plain(errors, frames, values)
        form, eta = (p.form, p.eta) if kind == "plc" else ("exp", 1.0)
        weights = weights_of(rewards, kept, form, eta, p.temperature)
        values["effective_share"] = _effective_size(weights) / len(weights)
        if kind == "plc":
            values["skipped"] = (~kept).double().mean()
        parts = weights * counts
        start = sum(len(of_one) for of_one in everyone[: processes.rank()])
        chosen = (parts / parts.sum().clamp(min=_TINY))[start : start + len(own)]
        loss = (chosen.to(errors.dtype) * errors).sum() * processes.count()  # gradients of processes are averaged
        return Chosen(loss, counts.sum() / processes.count(), values)

    @staticmethod
    def _plain(errors: Tensor, frames: Tensor, values: dict[str, Tensor]) -> Chosen:
        """The error of all frames, of those of all processes."""
        counted = processes.mean_over_all(frames.sum())
        return Chosen((errors * frames).sum() / counted.clamp(min=1), counted, values)


def mean_error(errors: Tensor, frames: Tensor) -> Tensor:
    """Means over clips' frames [B], and how many these are -> the mean over all frames []; 0 without any."""
    return (errors * frames).sum() / frames.sum().clamp(min=1)


def _effective_size(weights: Tensor) -> Tensor:
    """[B], a distribution or all 0 -> []"""
    return weights.sum() ** 2 / weights.square().sum().clamp(min=_TINY)
