"""Gradients of several batches, accumulated to those of one batch with all that they have."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from soke.run import processes
from soke.run.optim import gradients_of

log = logging.getLogger(__name__)


class WeightedAccumulation(pl.Callback):
    """Weighs every batch of a step of the optimiser by its size; Lightning takes all for equal, and those that an epoch's
    last step lacks for empty ones.

    batches: of a step, TRAIN.ACCUMULATE

    The module has `size_of(batch)`, [] what the loss of a batch, the one that it has just computed, is a mean of: frames,
    token steps or clips. Sizes are those of all processes. The gradients are put right before they are clipped; the
    device is not waited for. A loss that is a sum of means over unlike numbers of things is weighed by one of them.
    """

    def __init__(self, batches: int):
        self.batches = batches
        self._begin()

    def _begin(self) -> None:
        self._first: Tensor | None = None  # size of the step's first batch that has one, the unit of the weights
        self._sum: Tensor | float = 0.0
        self._weight: Tensor | float = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.num_training_batches < self.batches and trainer.is_global_zero:
            log.warning(
                "TRAIN.ACCUMULATE is %d, but an epoch has only %d batches of a process, with which a step ends: steps are of "
                "these", self.batches, trainer.num_training_batches,
            )

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: Tensor) -> None:
        size = processes.mean_over_all(torch.as_tensor(module.size_of(self._batch), device=module.device).float())
        unit = size if self._first is None else torch.where(self._first > 0, self._first, size)
        self._first, self._weight = unit, size / unit.clamp(min=1.0)
        self._sum, weight = self._sum + self._weight, self._weight
        loss.register_hook(lambda gradient: gradient * weight.to(gradient))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = gradients_of(optimizer)
        factor = self.batches / torch.as_tensor(self._sum).clamp(min=1e-9)
        if gradients:
            torch._foreach_mul_(gradients, factor)
        self._begin()
