"""What the trained models share: optimiser, schedule, seeds, the best checkpoint."""

from __future__ import annotations

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
    along a cosine from `lr` to `eta_min`, which it would reach after `epochs`.
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
    schedule = CosineAnnealingLR(optimizer, left, settings.eta_min)
    if warmup:
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        schedule = SequentialLR(optimizer, [rise, schedule], milestones=[warmup])
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


class BatchSeed(pl.Callback):
    """Seeds every batch by its place in the training, so that a run that continues draws what it would have drawn."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        place = (trainer.current_epoch, index, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0]))


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
