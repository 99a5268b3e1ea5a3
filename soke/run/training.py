"""What the trained models share: optimiser, schedule, seeds, means over an epoch, what is logged by the step, the best
checkpoint."""

from __future__ import annotations

import functools
import logging
import sys
import time
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau, SequentialLR

from soke.errors import UserError
from soke.run import processes
from soke.run.settings import Optim

log = logging.getLogger(__name__)


OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def optimizers_of(
    parameters: Iterable[nn.Parameter], settings: Optim, epochs: int, mode: str = "min"
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns.

    epochs: of the whole training. A run that continues with other `epochs` than it began with falls along its cosine
            from the rate that it has, in the shape of the new one's rest: it never climbs.
    mode:   min or max, the end that is better of the scores that a plateau is told by `follow`
    """
    optimizer = OPTIMIZERS[settings.kind](
        parameters, lr=settings.lr, betas=tuple(settings.betas), weight_decay=settings.weight_decay
    )
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
    if schedule.optimizer.param_groups[0]["lr"] <= settings.eta_min:
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
        min_lr=settings.eta_min, eps=0.0,
    )


class _Cosine(CosineAnnealingLR):
    """Takes a checkpoint's state, but not its length. Every rate follows from the one before, so that the rates have no
    jump where the length changes; with the old length they would climb again after its end."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "T_max": self.T_max})


_SCHEDULES = {"cosine": _cosine, "plateau": _plateau, "constant": _constant}


class EpochMeans:
    """Weighted means over the batches of an epoch, of all processes together.

    Sums stay on the device, which is not waited for before the epoch ends; then the processes add theirs up, once and
    all at the same place. (Lightning's `sync_dist` does so when somebody asks for a value, a progress bar for instance,
    which only process 0 has.)

    stage: train or val, of which the names are logged as <stage>/<name>
    names: all that there may be, the same in every process
    """

    def __init__(self, stage: str, names: Sequence[str]):
        self.stage, self.names = stage, list(names)
        self._sums: dict[tuple[str, ...], Tensor] = {}  # names counted together -> [2, names] of values and weights

    def add(self, values: Mapping[str, Tensor], weight: Tensor | float) -> None:
        """Counts one batch's values [], each a mean over `weight` things."""
        stacked = torch.stack([value.detach() for value in values.values()]).double()
        weights = torch.ones_like(stacked) * weight
        sums = torch.stack([stacked * weights, weights])
        self._sums[tuple(values)] = sums + self._sums.get(tuple(values), 0.0)

    def log(self, module: pl.LightningModule) -> dict[str, Tensor]:
        """Logs and returns the means of what was counted, and begins anew. Every process must call it.

        Raises UserError when no process has counted anything.
        """
        sums = torch.zeros(2, len(self.names), dtype=torch.float64, device=module.device)
        for names, counted in self._sums.items():
            for name, column in zip(names, counted.unbind(1)):
                sums[:, self.names.index(name)] += column
        self._sums = {}
        values, weights = processes.sum_over_all(sums)
        means = {
            name: (value / weight).float()
            for name, value, weight, counts in zip(self.names, values, weights, weights.tolist()) if counts
        }
        if not means:
            raise UserError(f"no clip of the {self.stage} split can be read: check `corpora`")
        module.log_dict({f"{self.stage}/{name}": mean for name, mean in means.items()})
        return means


def no_loss(module: nn.Module) -> Tensor:
    """The loss of a batch without clips: zero, with a gradient of zero for every parameter, because the other processes
    wait for that of each. No parameter's numbers are read: each takes part with none of them."""
    return sum(parameter.flatten()[:0].sum() for parameter in module.parameters() if parameter.requires_grad)


def in_float32(step: Callable) -> Callable:
    """A module's method that computes without autocast: what is measured does not depend on TRAIN.PRECISION."""

    @functools.wraps(step)
    def measured(self: pl.LightningModule, *arguments: Any) -> Any:
        with torch.autocast(self.device.type, enabled=False):
            return step(self, *arguments)

    return measured


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
        )

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.monitor in trainer.callback_metrics:  # ModelCheckpoint raises an error where there was no score yet
            super().on_validation_end(trainer, module)
