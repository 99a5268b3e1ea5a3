"""What the trainer calls besides the modules: seeds, the best checkpoint, an end for weights that are no numbers."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from soke.errors import UserError
from soke.run import processes

log = logging.getLogger(__name__)


class FiniteWeights(pl.Callback):
    """Ends a training whose weights are no longer numbers (UserError), before a checkpoint is written of them.

    Says once when batches had no finite loss and yet did no harm: the scaler of 16-mixed leaves them out. Looks before
    a validation and at the end of an epoch; until then the device is not waited for.
    """

    _NEVER = 2**53

    def __init__(self) -> None:
        self._batch, self._batches, self._warned = 0, 0, False
        self._lost: Tensor | None = None  # [2] the epoch's first batch without a finite loss, and how many they are

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._batches, self._lost = 0, None

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        self._batch = index

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: Tensor) -> None:
        lost = ~loss.detach().isfinite()
        now = torch.stack([torch.where(lost, self._batch, self._NEVER), lost.long()])
        if self._lost is not None:
            now = torch.stack([self._lost[0].minimum(now[0]), self._lost[1] + now[1]])
        self._lost = now
        self._batches += 1

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._check(trainer, module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._check(trainer, module)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._lost is None:
            return
        weights = [value.isfinite().all() for value in module.state_dict().values() if value.is_floating_point()]
        broken = ~torch.stack(weights).all()
        rows = processes.rows_of_all(torch.cat([self._lost, broken[None].long()]))
        first, lost, broken = rows[:, 0].min().item(), rows[:, 1].max().item(), rows[:, 2].max().item()
        if broken or lost == self._batches:
            what, batch = ("loss", f"batch {first} of ") if lost else ("weights", "")
            raise UserError(
                f"NaN or infinite {what} in {batch}epoch {trainer.current_epoch} (counted from 0), so training ends: "
                "lower TRAIN.OPTIM.LR or set TRAIN.GRAD_CLIP=1, and continue from the last checkpoint with "
                "TRAIN.RESUME=auto"
            )
        if lost and not self._warned:
            self._warned = True
            if trainer.is_global_zero:
                log.warning(
                    "the loss was NaN or infinite in %d of %d batches of epoch %d, first in batch %d (counted from 0): "
                    "such batches are left out", lost, self._batches, trainer.current_epoch, first,
                )


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
        )

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.monitor in trainer.callback_metrics:  # ModelCheckpoint raises an error where there was no score yet
            super().on_validation_end(trainer, module)
