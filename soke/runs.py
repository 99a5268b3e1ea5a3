"""Run folders: what a training writes, in which order, and how it is found again."""
from __future__ import annotations

import json
import logging
import platform
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from soke import __version__
from soke.config import Config, resolve, to_yaml
from soke.errors import UserError
from soke.storage import new_file

log = logging.getLogger(__name__)

LAST, BEST = "last.ckpt", "best.ckpt"
_PACKAGES = ("torch", "pytorch-lightning", "transformers", "numpy", "smplx")


@dataclass(frozen=True)
class Run:
    """config: of the run, its NAME changed for a trial; folder: FOLDER/<stage>/<NAME>; resume_from: a .ckpt or None."""

    config: Config
    folder: Path
    resume_from: str | None
    debug: bool

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def export(self) -> Path:
        """Folder of the trained model, which test.py and the next stage read."""
        return export_folder(self.config)


def export_folder(config: Config) -> Path:
    return config.run_folder / config.TRAIN.STAGE


def seed(config: Config) -> None:
    pl.seed_everything(config.SEED, workers=True, verbose=False)


def open_run(config: Config, debug: bool) -> Run:
    """Makes the run's folder and writes the resolved configuration and the versions before anything is trained.

    debug: a trial of one epoch under the name debug--NAME, which replaces the trial before it.
    Raises UserError when the folder already holds a run that is not to be continued.
    """
    if debug:
        config = replace(
            config, NAME=f"debug--{config.NAME}", TRAIN=replace(config.TRAIN, END_EPOCH=1, RESUME=""),
            TRANSLATION=replace(config.TRANSLATION, BEAMS=[1], LENGTH_PENALTIES=[0.0]),
        )  # fmt: skip
        if rank_zero_only.rank == 0:
            shutil.rmtree(config.run_folder, ignore_errors=True)
    folder = config.run_folder
    resume = _resume_from(config, folder)
    if resume is None and (folder / "checkpoints" / LAST).exists():
        raise UserError(
            f"{folder} already holds a run: continue it with TRAIN.RESUME=auto, or choose another NAME"
        )
    if rank_zero_only.rank == 0:
        with new_file(folder / "config.yaml") as path:
            path.write_text(to_yaml(config), encoding="utf-8")
        versions = {"soke": __version__, "python": platform.python_version()}
        record(folder, "versions", versions | {package: version(package) for package in _PACKAGES})
    return Run(config, folder, resume, debug)


def record(folder: Path, name: str, values: dict[str, object]) -> None:
    """Writes `values` to <folder>/<name>.json."""
    with new_file(folder / f"{name}.json") as path:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def results_folder(config: Config, out_dir: str | None, *below: str) -> Path:
    """`out_dir` where the user stands, else <RESULTS>/<NAME>/<below>."""
    return Path(out_dir) if out_dir is not None else resolve(config.RESULTS).joinpath(config.NAME, *below)


def _resume_from(config: Config, folder: Path) -> str | None:
    wanted = config.TRAIN.RESUME
    if not wanted:
        return None
    path = folder / "checkpoints" / LAST if wanted == "auto" else resolve(wanted)
    if not path.is_file():
        if wanted == "auto":
            return None
        raise UserError(f"TRAIN.RESUME: {path} does not exist")
    return str(path)


def export(run: Run, module: pl.LightningModule, trainer: pl.Trainer) -> None:
    """Writes the model of the best checkpoint, or of the last where the module names no score, to `run.export`.

    Every process must call it; the first reads and writes.
    """
    if trainer.interrupted:
        return
    best = run.checkpoints / BEST
    chosen = best if best.is_file() else run.checkpoints / LAST
    if trainer.is_global_zero:
        module.load_state_dict(torch.load(chosen, map_location="cpu", weights_only=True)["state_dict"])
    module.export(run.export)
    if trainer.is_global_zero:
        log.info("trained model in %s, from %s", run.export, chosen.name)
