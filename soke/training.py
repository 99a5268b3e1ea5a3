"""What the trained models share: optimiser, schedule, seeds, what is logged by the step, the best checkpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Iterable

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


@dataclass(frozen=True)
class OptimSettings:
    """AdamW with a schedule per epoch; the defaults are SOKE's.

    The rate rises linearly over `warmup_epochs`, epoch e (from 0) having lr * (e + 1) / (warmup_epochs + 1), then falls
    along a cosine from `lr` to `eta_min`, which it would reach after `epochs`. A run that continues with other `epochs`
    than it began with falls from the rate that it has, in the shape of the new cosine's rest: it never climbs.
    """

    epochs: int
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    eta_min: float = 1e-6
    warmup_epochs: int = 0


def adamw_with_cosine(parameters: Iterable[nn.Parameter], settings: OptimSettings) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns."""
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay)
    warmup = settings.warmup_epochs
    left = max(settings.epochs - warmup, 1)  # a trial run is over before its warm-up is
    schedule = _Cosine(optimizer, left, settings.eta_min)
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        schedule = SequentialLR(optimizer, [rise, schedule], milestones=[warmup])
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


class _Cosine(CosineAnnealingLR):
    """Takes a checkpoint's state, but not its length. Every rate follows from the one before, so that the rates have no
    jump where the length changes; with the old length they would climb again after its end."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "T_max": self.T_max})


class BatchSeed(pl.Callback):
    """Seeds every batch by its place in the training, so that a run that continues draws what it would have drawn."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        place = (trainer.current_epoch, index, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0]))


class StepLog(pl.Callback):
    """Logs every so many steps of the optimiser lr, grad_norm (before it is clipped) and samples_per_second.

    The rate counts the clips of all processes since the last logging, or since the epoch's begin; validation is left
    out. Only steps that are logged wait for the device.
    """

    def __init__(self, every: int):
        self.every = every
        self._logged: dict[str, Any] | None = None  # of the step that is being taken
        self._samples, self._since = 0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._samples, self._since = 0, time.perf_counter()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if (trainer.global_step + 1) % self.every == 0 and trainer.is_global_zero:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
            self._logged = {"lr": optimizer.param_groups[0]["lr"], "grad_norm": norm}

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._samples += len(getattr(batch, "lengths", batch))
        if self._logged is None:
            return
        logged, self._logged = {f"train/{name}": float(value) for name, value in self._logged.items()}, None
        now = time.perf_counter()
        logged["train/samples_per_second"] = self._samples * trainer.world_size / (now - self._since)
        self._samples, self._since = 0, now
        for logger in trainer.loggers:
            logger.log_metrics({**logged, "epoch": trainer.current_epoch}, trainer.global_step)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the weights with the best `monitor`, a score that need not be logged by every validation.

    In between Lightning holds the last score, which is never better than the best, and so nothing is saved.

    mode: min or max, the end that is better
    """

    def __init__(self, dirpath: Any, filename: str, monitor: str, mode: str = "min"):
        super().__init__(
            dirpath, filename, monitor, mode=mode, save_weights_only=True, enable_version_counter=False,
            save_on_train_epoch_end=False,  # but before, so that the epoch's last checkpoint knows the best score
        )  # fmt: skip

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.monitor in trainer.callback_metrics:  # ModelCheckpoint raises an error where there was no score yet
            super().on_validation_end(trainer, module)
