"""Checkpoints: when they are written, what is in them, which are kept."""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import move_data_to_device

from soke.errors import UserError
from soke.run import processes
from soke.run.averaging import averages_in
from soke.run.settings import Save
from soke.storage import new_file

log = logging.getLogger(__name__)


class Checkpoints(Checkpoint):
    """Writes `file` again and again, and keeps earlier ones beside it as epoch_<e>.step_<s>.ckpt.

    What is due in the middle of an epoch waits for a step after which the module can be continued (its `resumable`,
    where it has it), at most until the epoch ends. The training's last state is always written.
    """

    def __init__(self, file: Path, settings: Save):
        self.file, self.settings = file, settings
        self._seen, self._due = 0, False  # steps, and whether one of them has made a checkpoint due

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if not self.settings.every_steps or trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        self._due = self._due or self._seen % self.settings.every_steps == 0
        # Lightning takes a training that continues from an epoch's last batch to have validated
        if self._due and not trainer.is_last_batch and getattr(module, "resumable", True):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        done, every = trainer.current_epoch + 1, self.settings.every_epochs
        if self._due or (every and done % every == 0) or trainer.should_stop or done == trainer.max_epochs:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        self._due = False
        _write(trainer, self.file, self.settings.optimizer == "none")
        if not self.settings.keep:
            return
        copy = self.file.with_name(f"epoch_{trainer.current_epoch}.step_{trainer.global_step}.ckpt")
        if self.settings.optimizer == "last":
            _write(trainer, copy, True)
        elif trainer.is_global_zero:
            _link(self.file, copy)
        if trainer.is_global_zero and self.settings.keep > 0:
            for old in kept(self.file.parent)[: -self.settings.keep]:
                old.unlink()


def _write(trainer: pl.Trainer, file: Path, weights_only: bool) -> None:
    with averages_in(trainer) if weights_only else nullcontext():  # else the average sees to it by itself
        trainer.save_checkpoint(file, weights_only)


def kept(folder: Path) -> list[Path]:
    """The earlier checkpoints of a run, the oldest first, by when they were written: a training may have gone on from one
    of them."""
    found = [path for path in folder.iterdir() if re.fullmatch(r"epoch_\d+\.step_\d+\.ckpt", path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _link(file: Path, copy: Path) -> None:
    """Of a file that is never written into, but replaced."""
    copy.unlink(missing_ok=True)
    try:
        os.link(file, copy)
    except OSError:  # the file system has no links
        shutil.copyfile(file, copy)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the weights with the best `monitor`, a score that need not be logged by every validation.

    mode: min or max, the end that is better
    """

    def __init__(self, dirpath: Any, filename: str, monitor: str, mode: str = "min"):
        super().__init__(
            dirpath, filename, monitor, mode=mode, save_weights_only=True, enable_version_counter=False,
            save_on_train_epoch_end=False,  # but before, so that the epoch's last checkpoint knows the best score
        )

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Comes before `load_state_dict`."""
        self._goes_on = Path(trainer.ckpt_path).resolve().parent == Path(self.dirpath).resolve()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A run whose folder was moved, or is reached by another path, has its best file here; Lightning would forget the
        score. The best of another run is not here: then it is chosen among the epochs to come."""
        file, scores = Path(self.dirpath) / f"{self.filename}{self.FILE_EXTENSION}", state_dict["best_k_models"].values()
        if self._goes_on and file.is_file():
            here = {"best_model_path": str(file), "dirpath": self.dirpath, "kth_best_model_path": str(file)}
            super().load_state_dict({**state_dict, **here, "best_k_models": {str(file): score for score in scores}})
        elif scores and processes.rank() == 0:
            log.warning(
                "TRAIN.RESUME: what is exported is chosen among the epochs to come; the best so far, with %s %.4g, is not in %s",
                self.monitor, float(state_dict["best_model_score"]), self.dirpath,
            )

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.monitor in trainer.callback_metrics:  # ModelCheckpoint raises an error where there was no score yet
            with averages_in(trainer):
                super().on_validation_end(trainer, module)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and puts it there when it is complete. Lightning would bring it there from the
    machine's own folder for temporary files, byte by byte."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with new_file(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class Running(Protocol):
    """What is summed over an epoch, each process for itself: `state` is to be saved in the middle of it, in plain types
    and tensors, None where nothing has been summed; `load` goes on with it."""

    def state(self) -> Any: ...

    def load(self, state: Any) -> None: ...


class MidEpoch(pl.Callback):
    """Keeps in checkpoints what a module's `running`, {name: Running}, has summed of an epoch, of every process."""

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] = []  # of every process

    def state_dict(self) -> dict[str, Any]:
        return {"sums": processes.items_of_all([{name: of.state() for name, of in self._running.items()}])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict["sums"]

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self._running: dict[str, Running] = getattr(module, "running", {})

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raises UserError in the middle of an epoch that other processes have begun."""
        loaded, self._loaded = self._loaded, []
        if all(state is None for of_process in loaded for state in of_process.values()):
            return
        if len(loaded) != processes.count():
            raise UserError(
                f"TRAIN.RESUME: the checkpoint is of the middle of an epoch that {len(loaded)} processes have begun, not "
                f"{processes.count()}: continue with as many (DEVICE, NUM_NODES), or from one of an epoch's end"
            )
        for name, state in loaded[processes.rank()].items():
            if state is not None:
                self._running[name].load(move_data_to_device(state, module.device))
