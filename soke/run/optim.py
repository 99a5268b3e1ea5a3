"""Optimisers and schedules of the learning rate, of all trained models."""

from __future__ import annotations

import logging
import sys
from typing import Any, Iterable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau, SequentialLR

from soke.run.settings import Optim

log = logging.getLogger(__name__)

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def optimizers_of(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], settings: Optim, epochs: int, mode: str = "min"
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns.

    parameters: all that learn, or groups of them as of `parameters.groups_of`, whose rates are that of the schedule times
                their factor, always
    epochs: of the whole training. A run that continues with other `epochs` than it began with falls along its cosine
            from the rate that it has, in the shape of the new one's rest: it never climbs.
    mode:   min or max, the end that is better of the scores that a plateau is told by `follow`
    """
    optimizer = OPTIMIZERS[settings.kind](
        parameters, lr=settings.lr, betas=tuple(settings.betas), weight_decay=settings.weight_decay, fused=True
    )
    # It could divide by the scale of 16-mixed by itself, for which Lightning refuses to clip gradients.
    optimizer._step_supports_amp_scaling = False
    schedule = {"scheduler": _SCHEDULES[settings.schedule](optimizer, settings, epochs, mode), "interval": "epoch"}
    if settings.schedule == "plateau":
        # Lightning would step it after the epoch's checkpoint, which a resumed run could not make up for: never by it.
        schedule = {**schedule, "monitor": "never", "frequency": sys.maxsize}
    return {"optimizer": optimizer, "lr_scheduler": schedule}


def follow(module: pl.LightningModule, score: Tensor | float, settings: Optim) -> None:
    """Counts a validation's score for a plateau, if that is the schedule; training stops at its lowest rate. To be
    called in every validation that has the score, of all processes, at its end."""
    schedule = module.lr_schedulers()
    if not isinstance(schedule, ReduceLROnPlateau) or module.trainer.sanity_checking:
        return
    schedule.step(float(score))
    if all(group["lr"] <= settings.eta_min * _factor(group) for group in schedule.optimizer.param_groups):
        log.info("training stops: the learning rate is down to %g", settings.eta_min)
        module.trainer.should_stop = True


def _cosine(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    warmup = settings.warmup_epochs
    schedule = _Cosine(optimizer, max(epochs - warmup, 1), settings.eta_min)  # a trial is over before its warm-up is
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        schedule = SequentialLR(optimizer, [rise, schedule], milestones=[warmup])
    return schedule


def _constant(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    warmup = settings.warmup_epochs
    return LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=max(warmup, 1))


def _plateau(optimizer: torch.optim.Optimizer, settings: Optim, epochs: int, mode: str) -> Any:
    return ReduceLROnPlateau(
        optimizer, mode=mode, factor=settings.factor, patience=settings.patience, threshold_mode="abs",
        min_lr=[settings.eta_min * _factor(group) for group in optimizer.param_groups], eps=0.0,
    )


class _Cosine(CosineAnnealingLR):
    """Takes a checkpoint's state, but not its length. Every rate follows from the one before, so that the rates have no
    jump where the length changes; with the old length they would climb again after its end."""

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


def _factor(group: dict[str, Any]) -> float:
    """Of a group's learning rate; checkpoints of earlier versions have none."""
    return group.get("factor", 1.0)


_SCHEDULES = {"cosine": _cosine, "plateau": _plateau, "constant": _constant}
