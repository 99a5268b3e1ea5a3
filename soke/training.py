"""What the trained models share: optimiser, schedule, seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn


@dataclass(frozen=True)
class OptimSettings:
    """AdamW with a cosine schedule per epoch, from `lr` down to `eta_min` after `epochs`; the defaults are SOKE's."""

    epochs: int
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    eta_min: float = 1e-6


def adamw_with_cosine(parameters: Iterable[nn.Parameter], settings: OptimSettings) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns."""
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs, settings.eta_min)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


class BatchSeed(pl.Callback):
    """Seeds every batch by its place in the training, so that a run that continues draws what it would have drawn."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        place = (trainer.current_epoch, index, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0]))
