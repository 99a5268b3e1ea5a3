"""Priorities of clips by their rewards, and the channel that skips the worst (SignLLM, "Priority Learning Channel").

A clip's reward is the negative mean squared error of its prediction. The paper prints P(i) = r_i^eta / sum_j r_j^eta, a
power that rewards up to 0 do not have; the forms here are defined for all rewards, and the best clip comes first [A].

The paper draws clips by P. Here the clips of a step are weighted by it, which is what drawing from them amounts to on
average: so every clip's reward is measured in every epoch, also that of one which would hardly be drawn again, batches
keep the order that DATASET.GROUP_BY_LENGTH and TRAIN.RESUME promise, and other objectives' batches stay as they are.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from soke.errors import UserError
from soke.regressor.settings import Priority, form_problems

_MOST = torch.finfo(torch.float64).max
_PATIENCE = 4.0  # steps without a batch that is kept, in relation to what the quantile lets expect


def priorities(rewards: Tensor, form: str, eta: float, temperature: float) -> Tensor:
    """A distribution over clips, in which a higher reward never has less and equal rewards have the same.

    rewards:     [B], of any sign and size
    form:        exp: P ~ exp(eta r / temperature); inverse: P ~ (temperature - r)^-eta, rewards above 0 being counted
                 from the highest; rank: P ~ rank^-eta, 1 being the best and equals sharing their mean rank
    eta:         at least 0, where 0 is the uniform distribution
    temperature: the difference in reward that matters, above 0; ranks have none

    Returns [B] float64, its sum 1. Raises UserError for rewards that are no finite numbers, and for settings that make
    no sense, the printed form among them.
    """
    problems = form_problems(form)
    if not (0 <= eta < math.inf and 0 < temperature < math.inf):
        problems.append(f"`eta` must be at least 0 and `temperature` above 0, not {eta} and {temperature}")
    lost = (~rewards.isfinite()).nonzero().flatten().tolist()
    if lost:
        problems.append(
            f"the reward of clip {lost[0]} (counted from 0) is {rewards[lost[0]].item()}, but priorities need finite "
            "rewards: leave out clips whose prediction is no number"
        )
    if problems:
        raise UserError("; ".join(problems))
    return weights_of(rewards, torch.ones_like(rewards, dtype=torch.bool), form, eta, temperature)


def weights_of(rewards: Tensor, kept: Tensor, form: str, eta: float, temperature: float) -> Tensor:
    """`priorities` of the kept clips among themselves, 0 for others; all are NaN where any reward is not finite. The
    device is not waited for.

    rewards: [B]; kept: [B] bool, possibly none

    Returns [B] float64.
    """
    if not len(rewards):
        return rewards.double()
    costs = _COSTS[form](rewards.double(), kept, temperature).clamp(max=_MOST)
    logits = (costs.masked_fill(~kept, _MOST).min() - costs) * eta
    found = torch.where(kept, logits.masked_fill(~kept, -math.inf).softmax(0), 0.0)
    return torch.where(rewards.isfinite().all(), found, math.nan)


def _exp(rewards: Tensor, kept: Tensor, temperature: float) -> Tensor:
    best = rewards.masked_fill(~kept, -math.inf).max()
    return (best - rewards) / temperature


def _inverse(rewards: Tensor, kept: Tensor, temperature: float) -> Tensor:
    best = rewards.masked_fill(~kept, -math.inf).max().clamp(min=0.0)
    return (temperature + (best - rewards).clamp(min=0.0)).log()


def _rank(rewards: Tensor, kept: Tensor, temperature: float) -> Tensor:
    better, equal = rewards[None] > rewards[:, None], rewards[None] == rewards[:, None]  # [B, B]
    return ((better & kept).sum(1) + ((equal & kept).sum(1) + 1) / 2).double().log()


# Of which P ~ exp(-eta cost), lower ones for the better.
_COSTS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"exp": _exp, "inverse": _inverse, "rank": _rank}


class Channel(nn.Module):
    """Which clips of a step are learnt from: those that are not below the running quantile of the last rewards.

    By sample each clip is judged by its reward; the best of a step is always kept. By batch that of each process is
    judged by its mean reward; a step may be skipped as a whole, but not many in a row: four times as many as the
    quantile lets expect, then the best batch is kept. All state is in buffers; the processes, who are told the rewards
    of all, hold the same.

    quantile: at least 0, where 0 skips nothing, and below 1
    window:   rewards that are remembered
    """

    def __init__(self, quantile: float, window: int, by: str):
        super().__init__()
        self.quantile, self.by = quantile, by
        self._most_skipped = math.ceil(_PATIENCE / (1 - quantile)) if by == "batch" else 0
        self.register_buffer("rewards", torch.zeros(window, dtype=torch.float64))  # the next is put at count % window
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # of all rewards that were remembered
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))  # whole steps in a row

    @torch.no_grad()
    def forward(self, rewards: Sequence[Tensor], skips: bool) -> list[Tensor]:
        """rewards: [B] of each process, which are remembered unless one is not finite, none in all is no step; skips:
        False: all are kept -> [B] bool of each process"""
        judged = [of_one.mean(0, keepdim=True) if self.by == "batch" and len(of_one) else of_one for of_one in rewards]
        values = torch.cat(judged).double()
        everything = [torch.ones_like(of_one, dtype=torch.bool) for of_one in rewards]
        if not len(values):
            return everything
        self._remember(values)
        if not skips:
            return everything
        kept = values >= self.threshold
        saved = ~kept.any() & (self.skipped >= self._most_skipped)
        kept = kept | saved & (values == values.max())
        self.skipped.copy_(torch.where(kept.any(), 0, self.skipped + 1))
        of_processes = kept.split([len(of_one) for of_one in judged])
        return [own.expand_as(of_one) if len(of_one) else own for own, of_one in zip(of_processes, rewards)]

    @property
    def threshold(self) -> Tensor:
        """[] the highest remembered reward below which lies at most the quantile's share of them; infinite without any."""
        size, places = len(self.rewards), torch.arange(len(self.rewards), device=self.rewards.device)
        known = self.count.clamp(max=size)
        ordered = self.rewards.masked_fill(places >= known, math.inf).sort().values
        return ordered[(known.double() * self.quantile).long()]

    def _remember(self, values: Tensor) -> None:
        new = values[-len(self.rewards) :]
        first = self.count + len(values) - len(new)
        places = (first + torch.arange(len(new), device=new.device)) % len(self.rewards)
        finite = values.isfinite().all()  # else the step's loss is lost as well
        self.rewards[places] = torch.where(finite, new, self.rewards[places])
        self.count += finite * len(values)


def channel_of(settings: Priority) -> Channel:
    return Channel(settings.quantile, settings.window, settings.by)
