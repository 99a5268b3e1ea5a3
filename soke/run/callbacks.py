"""What the trainer calls besides the modules: how products are computed, seeds, lengths of schedules, an end for weights
that are no numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from soke.errors import UserError
from soke.run import precision, processes
from soke.run.optim import set_steps
from soke.run.settings import Optim
from soke.run.sharding import own_part
from soke.run.training import DIVERGED

log = logging.getLogger(__name__)


class FastSteps(pl.Callback):
    """Multiplies in TF32 and runs compiled layers, while a training lasts.

    tf32:     on GPUs, products of float32 matrices round their factors to 10 bits
    compiled: what lies in a list of layers of the trained model is compiled, each kind once for all shapes
    """

    def __init__(self, tf32: bool, compiled: bool):
        self.tf32, self.compiled = tf32, compiled

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self._before = precision.products()
        precision.multiply(*(("high", "tf32") if self.tf32 else ("highest", "ieee")))
        for layer in layers_of(module.trained) if self.compiled else ():
            layer.compile()

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        precision.multiply(*self._before)


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """The entries of a model's module lists, the outermost ones."""
    for child in model.children():
        yield from child if isinstance(child, nn.ModuleList) else layers_of(child)


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
        state = map(own_part, module.state_dict().values())
        weights = [value.isfinite().all() for value in state if value.is_floating_point()]
        broken = ~torch.stack(weights).all()
        rows = processes.rows_of_all(torch.cat([self._lost, broken[None].long()]))
        first, lost, broken = rows[:, 0].min().item(), rows[:, 1].max().item(), rows[:, 2].max().item()
        if broken or lost == self._batches:
            what, batch = ("loss", f"batch {first} of ") if lost else ("weights", "")
            raise UserError(
                f"NaN or infinite {what} in {batch}epoch {trainer.current_epoch} (counted from 0), {DIVERGED}"
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


class StepSchedule(pl.Callback):
    """Tells a schedule by the step how long the training is.

    trial: whether it may be over before its warm-up is
    """

    def __init__(self, settings: Optim, trial: bool = False):
        self.settings, self.trial = settings, trial

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raises UserError for a warm-up that is longer."""
        if self.settings.every != "step":
            return
        steps = trainer.global_step + steps_left(trainer)
        if self.settings.warmup >= max(steps, 1) and not self.trial:
            raise UserError(
                f"TRAIN.OPTIM.WARMUP_STEPS must be below the {steps} steps that the training has, not "
                f"{self.settings.warmup}"
            )
        set_steps(module.lr_schedulers(), self.settings, steps)


def steps_left(trainer: pl.Trainer) -> int:
    """Those of the optimiser that are to come, also in a run that continues in the middle of an epoch, and with another
    number of processes."""
    batches, each = int(trainer.num_training_batches), trainer.accumulate_grad_batches
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # in this epoch, or all of the one before
    steps = math.ceil(batches / each)
    return steps * (trainer.max_epochs - trainer.current_epoch) - (math.ceil(seen / each) if seen < batches else 0)
