"""Where a training's numbers and pictures go."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import Clip
from soke.errors import UserError
from soke.render.figure import figures_of
from soke.render.sheet import contact_sheet
from soke.run.averaging import has_whole_weights
from soke.run.config import to_plain
from soke.run.folders import Run
from soke.run.precision import in_float32

_SENTENCES = 4  # that are drawn
_SIZE = (144, 144)  # of a figure, in pixels


def loggers_of(run: Run) -> list[Logger]:
    """Raises UserError for one that is not installed."""
    settings = run.config.logger
    continued = len(list(run.folder.glob("csv*")))  # a logger would delete the lines of the run that it continues
    loggers: list[Logger] = [CSVLogger(run.folder, name="", version=f"csv.{continued}" if continued else "csv")]
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(run.folder, name="", version="tensorboard"))
    try:
        if settings.wandb:
            named = to_plain(run.config)
            loggers.append(WandbLogger(run.config.name, run.folder, project="soke", config=named))
        if settings.mlflow:
            loggers.append(_mlflow(run))
    except ImportError as error:
        name = "wandb" if "wandb" in str(error) else "mlflow"
        raise UserError(f"LOGGER.{name.upper()}=true needs {name}: `pip install {name}`, or set it to false") from error
    return loggers


def _mlflow(run: Run) -> MLFlowLogger:
    """To MLFLOW_TRACKING_URI or, where that is not set, into a database in the run's folder, with pictures beside it."""
    server, files = os.environ.get("MLFLOW_TRACKING_URI"), run.folder / "mlflow"
    here = {} if server else {"artifact_location": files.absolute().as_uri()}
    address = server or f"sqlite:///{run.folder.absolute() / 'mlflow.db'}"
    logger = MLFlowLogger("soke", run.config.name, address, **here)
    logger.log_hyperparams(to_plain(run.config))
    return logger


class SamplePictures(pl.Callback):
    """Draws what the model in training signs of a few fixed sentences of the val split, each beside its reference, for
    the loggers that take pictures (TensorBoard, wandb, MLflow).

    Process 0 does so by itself, while the others wait with the validation's scores; nothing is drawn for nobody.

    body:  on the CPU
    every: so many validations; the last one is drawn too
    """

    def __init__(self, body: Posed, every: int):
        self.body, self.every = body, every

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Raises UserError where no process has a whole model, and where no sentences are signed in validation."""
        if not has_whole_weights(trainer):
            raise UserError("LOGGER.PICTURES needs the whole model in one process: set TRAIN.STRATEGY=ddp, or it to 0")
        if module.generation is None:
            raise UserError("LOGGER.PICTURES draws what EVAL.GENERATE_EVERY scores: set that above 0, or it to 0")

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = epoch // trainer.check_val_every_n_epoch % self.every == 0 or epoch == trainer.max_epochs
        takers = [logger for logger in trainer.loggers if not isinstance(logger, CSVLogger)]
        if not due or trainer.sanity_checking or not takers or not trainer.is_global_zero:
            return
        score = module.generation
        count = min(_SENTENCES, len(score.samples))
        samples = [score.samples[i * len(score.samples) // count] for i in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            for number, (sample, motion) in enumerate(zip(samples, _signed(module, [s.clip for s in samples]))):
                reference = score.producer.layout.covered(sample.motion).resampled(motion.fps)
                figures = figures_of(self.body, {"reference": reference, f"epoch {epoch - 1}": motion})
                path = Path(folder) / f"sample_{number}.step_{trainer.global_step}.png"
                contact_sheet(path, figures, sample.clip.text, size=_SIZE, backend="software", progress=False)
                for logger in takers:
                    _show(logger, f"samples/{number}", path, trainer.global_step)


@in_float32
def _signed(module: pl.LightningModule, clips: Sequence[Clip]) -> list[Motion | JointMotion]:
    """Draws no random number that training would miss."""
    with torch.no_grad(), torch.random.fork_rng([module.device] if module.device.type == "cuda" else []):
        return module.generation.producer.produce(clips)


def _show(logger: Logger, name: str, path: Path, step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [str(path)], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), "samples")
