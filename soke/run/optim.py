"""Optimisers and schedules of the learning rate, of all trained models."""

from __future__ import annotations

import logging
import math
import sys
from typing import Any, Iterable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
)

from soke.run import processes
from soke.run.settings import Optim
from soke.run.sharding import own_part

log = logging.getLogger(__name__)

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def optimizers_of(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], settings: Optim, epochs: int, mode: str = "min"
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns.

    parameters: all that learn, or groups of them as of `parameters.groups_of`, whose rates are that of the schedule times
                their factor, always
    epochs: of the whole training. A run that continues with other `epochs` than it began with falls along its cosine
            or line from the rate that it has, in the shape of the new one's rest: it never climbs. Of a schedule by
            the step the length is told by `set_steps`
    mode:   min or max, the end that is better of the scores that a plateau is told by `follow`
    """
    optimizer = OPTIMIZERS[settings.kind](
        parameters, lr=settings.lr, betas=tuple(settings.betas), weight_decay=settings.weight_decay, fused=True
    )
    # It could divide by the scale of 16-mixed by itself, for which Lightning refuses to clip gradients.
    optimizer._step_supports_amp_scaling = False
    _keep_rates_of_rows(optimizer)
    made = _SCHEDULES[settings.schedule](optimizer, settings, epochs, mode)
    schedule = {"scheduler": made, "interval": settings.every}
    if settings.schedule == "plateau":
        # Lightning would step it after the epoch's checkpoint, which a resumed run could not make up for: never by it.
        schedule = {**schedule, "monitor": "never", "frequency": sys.maxsize}
    return {"optimizer": optimizer, "lr_scheduler": schedule}


def gradients_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Those that there are, of the parameters that it moves; under DeepSpeed, what this process has of them all."""
    if hasattr(optimizer, "averaged_gradients"):
        return [gradient for of_group in optimizer.averaged_gradients.values() for gradient in of_group]
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _keep_rates_of_rows(optimizer: torch.optim.Optimizer) -> None:
    """A step moves weights by what is in proportion to their rate, so of what it moves a group's `rows` their share is
    left."""
    groups = [group for group in optimizer.param_groups if "rows" in group]
    before: list[Tensor] = []

    def keep(*arguments: Any) -> None:
        before[:] = [_first_rows(group).clone() for group in groups]

    def share(*arguments: Any) -> None:
        for group, kept in zip(groups, before):
            _first_rows(group).lerp_(kept, 1 - group["rows"][1])

    if groups:
        optimizer.register_step_pre_hook(keep)
        optimizer.register_step_post_hook(share)


def _first_rows(group: dict[str, Any]) -> Tensor:
    """Those of a group's table that its `rows` are of; of a divided one, what this process has of them."""
    table = group["params"][0].detach()
    own = own_part(table)
    above = 0 if own is table else processes.rank() * math.ceil(len(table) / processes.count())
    return own[: max(group["rows"][0] - above, 0)]


def follow(module: pl.LightningModule, score: float | None, settings: Optim) -> None:
    """Counts a validation's score for a plateau, if that is the schedule; training stops at its lowest rate. To be
    called in every process at the end of a validation that has the score, and with None when training starts."""
    schedule = module.lr_schedulers()
    if not isinstance(schedule, ReduceLROnPlateau) or module.trainer.sanity_checking:
        return
    if score is not None:
        schedule.step(score)
    if all(group["lr"] <= settings.eta_min * _factor(group) for group in schedule.optimizer.param_groups):
        log.info("training stops: the learning rate is down to %g", settings.eta_min)
        module.trainer.should_stop = True


def set_steps(schedule: Any, settings: Optim, steps: int) -> None:
    """Tells a schedule by the step how many steps of the optimiser the whole training has, before the first of them."""
    if isinstance(schedule, SequentialLR):
        schedule = schedule._schedulers[-1]
    if isinstance(schedule, _Falling):
        schedule.T_max = max(steps - settings.warmup, 1)


def _falling(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    warmup, shape = settings.warmup, {"cosine": _Cosine, "linear": _Linear}[settings.schedule]
    schedule = shape(optimizer, max(epochs - warmup, 1), settings.eta_min)  # a trial is over before its warm-up is
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        schedule = SequentialLR(optimizer, [rise, schedule], milestones=[warmup])
    return schedule


def _constant(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    warmup = settings.warmup
    return LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=max(warmup, 1))


def _inverse_sqrt(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    begun = settings.warmup + 1
    return LambdaLR(optimizer, lambda done: min((done + 1) / begun, math.sqrt(begun / (done + 1))))


def _plateau(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    return ReduceLROnPlateau(
        optimizer, mode=mode, factor=settings.factor, patience=settings.patience, threshold_mode="abs",
        min_lr=[settings.eta_min * _factor(group) for group in optimizer.param_groups], eps=0.0,
    )


def _factor(group: dict[str, Any]) -> float:
    """Of a group's rate to what the schedule says."""
    return group.get("factor", 1.0)


class _Falling(LRScheduler):
    """Takes a checkpoint's state, but not its length T_max. Every rate follows from the one before, so that the rates
    have no jump where the length changes; with the old length a cosine would climb again after its end."""

    T_max: int

    def get_lr(self) -> list[float]:
        """Each group's rate falls to its share of the lowest."""
        groups = self.optimizer.param_groups
        rates, factors = [group["lr"] for group in groups], [_factor(group) for group in groups]
        for group, factor in zip(groups, factors):
            group["lr"] /= factor
        try:
            return [rate * factor for rate, factor in zip(super().get_lr(), factors)]
        finally:
            for group, rate in zip(groups, rates):
                group["lr"] = rate

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "T_max": self.T_max})


class _Cosine(_Falling, CosineAnnealingLR):
    """That of torch."""


class _Line(LRScheduler):
    """To `eta_min` after T_max, each rate on the straight line from the one before."""

    T_max: int

    def __init__(self, optimizer: torch.optim.Optimizer, T_max: int, eta_min: float):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        groups = self.optimizer.param_groups
        if not self.last_epoch:  # the warm-up is over
            return [group["initial_lr"] / _factor(group) for group in groups]
        left = max(self.T_max - self.last_epoch + 1, 1)
        return [group["lr"] + (self.eta_min - group["lr"]) / left for group in groups]


class _Linear(_Falling, _Line):
    """In a straight line."""


_SCHEDULES = {
    "cosine": _falling, "linear": _falling, "inverse_sqrt": _inverse_sqrt, "plateau": _plateau, "constant": _constant,
}
