"""What the trained models share: optimiser and schedule."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

import torch
from torch import nn


@dataclass(frozen=True)
class OptimSettings:
    """AdamW with a cosine schedule per epoch, from `lr` down to `eta_min` at the end of `epochs`."""

    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    eta_min: float = 1e-6
    epochs: int = 1


def adamw_with_cosine(parameters: Iterable[nn.Parameter], settings: OptimSettings) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns."""
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs, settings.eta_min)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}
