"""Selection by a score of the validations: what is exported, what a plateau follows, and when training ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from soke.errors import UserError
from soke.run import folders
from soke.run.optim import follow
from soke.run.settings import Eval, Optim

log = logging.getLogger(__name__)


def select(module: pl.LightningModule, settings: Eval) -> str:
    """Gives the module the `monitor` that the settings name, and returns the score that a plateau and an early end
    follow: its monitor, where that is one score, else val/loss.

    Raises UserError where its parts are chosen by scores of their own.
    """
    if settings.monitor:
        if isinstance(module.monitor, dict):
            raise UserError(
                f"EVAL.MONITOR={settings.monitor} chooses one epoch, but EVAL.BEST=per_part one for each part: leave "
                "EVAL.MONITOR empty, or set EVAL.BEST=whole"
            )
        module.monitor, module.monitor_mode = settings.monitor, settings.better
    return module.monitor if isinstance(module.monitor, str) else "val/loss"


class Selection(pl.Callback):
    """Sees to it that what Lightning knows of the scores at the end of a validation is of that one, and tells a plateau
    of `score`.

    stated: whether the score was named by a user, so that it may be none that is logged. What the module's `later`
            names need not be logged in every validation, but then with all of them
    """

    def __init__(self, score: str, optim: Optim, stated: bool):
        self.score, self.optim, self.unseen = score, optim, stated

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.global_step:  # a plateau that had ended the training is over
            follow(module, None, self.optim)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for name in (self.score, *folders.monitors(module).values()):
            trainer.callback_metrics.pop(name, None)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raises UserError for a score that is not logged."""
        found = trainer.callback_metrics
        if self.score in found:
            self.unseen = False
            follow(module, float(found[self.score]), self.optim)
        elif self.unseen:
            later = getattr(module, "later", ())
            if self.score not in later or any(name in found for name in later):
                raise UserError(_unknown(self.score, {*found, *later}))


def _unknown(score: str, logged: Iterable[str]) -> str:
    names = ", ".join(sorted(name for name in logged if name.startswith("val/")))
    return f"EVAL.MONITOR={score} is no score of this training's validations: it is one of {names}"


class Patience(EarlyStopping):
    """Ends a training after so many validations in a row that have the score, but none better than the best.

    A training that has ended so is over when it is continued, unless with more patience.
    """

    def __init__(self, score: str, mode: str, patience: int):
        super().__init__(
            score, patience=patience, mode=mode, strict=False, check_finite=False, check_on_train_epoch_end=False
        )

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        before = trainer.should_stop
        super().on_validation_end(trainer, module)
        if trainer.should_stop and not before:
            log.info(
                "training stops: for %d validations %s has not been better than %.4g", self.wait_count, self.monitor,
                float(self.best_score),
            )
