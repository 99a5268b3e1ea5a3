"""What is logged by the step of the optimiser."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from soke.run.sharding import whole


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
        if (trainer.global_step + 1) % self.every == 0:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norm = whole(nn.utils.get_total_norm(gradients))  # in every process, who may have a part each
            first = optimizer.param_groups[0]
            self._logged = {"lr": first["lr"] / first.get("factor", 1.0), "grad_norm": norm}

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
