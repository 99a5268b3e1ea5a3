"""What the Lightning modules of all stages have in common, and all that the trainer knows of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Mapping

import pytorch_lightning as pl
from torch import Tensor, nn

import soke
from soke.errors import UserError
from soke.run.optim import optimizers_of
from soke.run.parameters import groups_of
from soke.run.saving import Running
from soke.run.settings import Optim
from soke.run.training import EpochMeans


class TrainedModule(pl.LightningModule):
    """A stage's module adds its training and validation steps, and says what of it is trained and exported.

    optim:        of `trained`
    means:        train, val -> what is counted over an epoch; the training's is logged when the epoch ends
    monitor:      the score by which the exported checkpoint is chosen, or {submodule: score} of those that are chosen
                  independently of each other; None: the last one is exported
    monitor_mode: whether it is better when low or high, min or max
    section:      of a checkpoint, that holds what its model is made of
    agreeing:     keys of `provenance` in which a run that goes on agrees with its checkpoint
    """

    monitor: str | dict[str, str] | None = None
    monitor_mode: str = "min"
    section: ClassVar[str]
    agreeing: ClassVar[tuple[str, ...]] = ()
    optim: Optim
    means: Mapping[str, EpochMeans]

    @property
    def trained(self) -> nn.Module:
        """What the names of TRAIN.FREEZE are of."""
        raise NotImplementedError

    def size_of(self, batch: Any) -> Tensor:
        """[] what the loss of a batch, the one that it has just computed, is a mean of."""
        raise NotImplementedError

    def provenance(self) -> dict[str, Any]:
        """What the run's model is made of, in plain types."""
        raise NotImplementedError

    def export(self, folder: Path) -> None:
        """Writes the model for the `from_pretrained` of its kind; every process calls it, the first one writes."""
        raise NotImplementedError

    @property
    def running(self) -> dict[str, Running]:
        """What a checkpoint in the middle of an epoch keeps of it."""
        return {"means": self.means["train"]}

    def configure_optimizers(self) -> dict[str, Any]:
        return optimizers_of(groups_of(self.trained, self.optim), self.optim, self.trainer.max_epochs, self.monitor_mode)

    def on_train_epoch_end(self) -> None:
        self.means["train"].log(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.section] = {"code_version": soke.__version__, **self.provenance()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises UserError for a checkpoint that does not agree."""
        theirs, ours = checkpoint.get(self.section, {}), self.provenance()
        for key in self.agreeing:
            before, now = (found.get(key) or None for found in (theirs, ours))
            if before != now:
                name, told = key.replace("_", " "), isinstance(now, (str, int, float))
                raise UserError(
                    "this checkpoint does not fit: "
                    + (f"its {name} is {before}, the run's is {now}" if told else f"it has other {name} than the run")
                    + "; start a new run, or use the data and the settings that it was trained with"
                )
