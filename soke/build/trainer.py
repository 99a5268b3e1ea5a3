"""Training: from a configuration to an exported model; the trainer."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Sequence

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.plugins.environments import SLURMEnvironment

from soke.build.body import scored_body
from soke.build.devices import lightning_devices
from soke.build.loggers import SamplePictures, loggers_of
from soke.build.stages import Stage
from soke.build.starting import begun_from
from soke.build.strategies import strategy_of
from soke.run import folders
from soke.run.accumulation import WeightedAccumulation
from soke.run.averaging import MovingAverage
from soke.run.callbacks import BatchSeed, FastSteps, FiniteWeights, StepSchedule
from soke.run.config import Config
from soke.run.ending import ending_together
from soke.run.parameters import Still, freeze
from soke.run.saving import BestCheckpoint, Checkpoints, MidEpoch, WholeFiles
from soke.run.selecting import Patience, Selection, select
from soke.run.watching import StepLog

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # it greets with tips
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated")  # inside Lightning
warnings.filterwarnings("ignore", "The number of training batches")  # short epochs are no mistake
warnings.filterwarnings("ignore", "Checkpoint directory")  # nor is a run that continues
warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`")  # of one that older callbacks have written
warnings.filterwarnings("ignore", "It is recommended to use `self.log")  # what is logged is of all processes already

_BAR_BATCHES = 10  # between two looks of the progress bar at the loss, for which the device is waited for


def train(stage: Stage, config: Config, debug: bool) -> None:
    """Trains one model and exports it. debug: in a short trial run under another name"""
    folders.seed(config)
    with folders.open_run(config, stage.trained_by, debug) as run:
        data = stage.data(run.config, run.folder)
        module = stage.module(run.config, data)
        still = freeze(module.trained, run.config.train.freeze) if run.config.train.freeze else []
        folders.record(run.folder, folders.PROVENANCE, {**module.provenance(), **begun_from(run)})
        trainer = new_trainer(run, module, [Still(still)] if still else [])
        with ending_together(trainer):
            folders.fit(run, trainer, module, data)
            folders.export(run, module, trainer)


def new_trainer(
    run: folders.Run, module: pl.LightningModule, callbacks: Sequence[pl.Callback] = ()
) -> pl.Trainer:
    """module: a `TrainedModule`; callbacks: further ones"""
    config = run.config
    score = select(module, config.eval)
    callbacks = [
        FastSteps(config.train.tf32, config.train.compile), BatchSeed(config.seed), FiniteWeights(),
        watch := StepLog(config.logger.every_steps), MidEpoch(),
        StepSchedule(config.train.optim, run.debug), Checkpoints(run.checkpoints / folders.LAST, config.train.save),
        TQDMProgressBar(refresh_rate=_BAR_BATCHES), *callbacks,
    ]
    if config.train.accumulate > 1:
        callbacks.insert(0, WeightedAccumulation(config.train.accumulate))  # before what looks at the gradients
    callbacks.append(Selection(score, config.train.optim, bool(config.eval.monitor)))
    if config.train.average:
        callbacks.append(MovingAverage(config.train.average, run.debug))
    if config.logger.pictures and hasattr(module, "generation"):
        callbacks.append(SamplePictures(scored_body(config, "cpu"), config.logger.pictures))
    if config.eval.patience:
        callbacks.append(Patience(score, module.monitor_mode, config.eval.patience))
    for submodule, monitor in folders.monitors(module).items():
        name = Path(folders.best_file(submodule)).stem
        callbacks.append(BestCheckpoint(run.checkpoints, name, monitor, module.monitor_mode))
    batches = dict.fromkeys(("limit_train_batches", "limit_val_batches"), folders.TRIAL_BATCHES) if run.debug else {}
    return pl.Trainer(
        **lightning_devices(config), strategy=strategy_of(config), plugins=[WholeFiles(), *_cluster()],
        precision=config.train.precision, default_root_dir=run.folder,
        max_epochs=config.train.end_epoch, gradient_clip_val=config.train.grad_clip or None,
        accumulate_grad_batches=config.train.accumulate,
        check_val_every_n_epoch=min(config.eval.every_epochs, config.train.end_epoch),
        logger=loggers_of(run), callbacks=callbacks, profiler=watch.clock, log_every_n_steps=config.logger.every_steps,
        num_sanity_val_steps=0, enable_model_summary=False, use_distributed_sampler=False, **batches,
    )


def _cluster() -> list[SLURMEnvironment]:
    """Under SLURM, without Lightning's answer to SIGUSR1: a checkpoint in the middle of a step, in which the processes
    would wait for each other at different places. The batch script queues the job again."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
