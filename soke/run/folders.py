"""Folders of runs and of results: what is written, in which order, by whom, and how it is found again."""
from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Sequence

import torch

from soke import __version__
from soke.errors import UserError
from soke.run import changes
from soke.run.config import Config, resolve, to_yaml
from soke.run.locking import LOCK, locked
from soke.storage import new_file, read_json

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)

LAST, BEST, CONFIG, STATISTICS = "last.ckpt", "best.ckpt", "config.yaml", "statistics.json"
PROVENANCE = "provenance"  # of what a model is made, a name for `record`
TRIAL_BATCHES = 4  # per epoch of a run without --nodebug
_OF_A_TEST = (
    "table.txt", "table.json", "table.csv", "clips.csv", "skipped_clips.txt", "unscored_clips.txt", "timing.json",
    "token_frequencies.png", "token_counts.json",
)
_TRAINING_STATE = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "epoch"}
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
    return config.run_folder / config.train.stage


def seed(config: Config) -> None:
    from pytorch_lightning import seed_everything  # seconds, which commands that train nothing do without

    seed_everything(config.seed, workers=True, verbose=False)


@contextmanager
def open_run(config: Config, trained_by: Sequence[str], debug: bool) -> Iterator[Run]:
    """Makes the run's folder and writes the resolved configuration and the versions before anything is trained. Until
    the block ends, no other run can be opened in this folder.

    trained_by: patterns of the keys in which a run that continues must be as it was, see `changes.of_training`
    debug:      a trial of one epoch under the name debug--NAME, which replaces the trial before it
    Raises UserError when the folder already holds a run that is not to be continued or that another process trains, and
    when what is to be continued is no checkpoint or was trained with other settings.
    """
    first = _is_first_process()
    if debug:
        config = replace(
            config, name=f"debug--{config.name}", train=replace(config.train, end_epoch=1, resume=""),
            translation=replace(config.translation, beams=[1], length_penalties=[0.0]),
        )
        if first:
            log.warning(
                "this is a trial run, %s: one epoch of %d batches; add --nodebug to train in full", config.name,
                TRIAL_BATCHES,
            )
    folder = config.run_folder
    with locked(folder, "training", "NAME") if first else nullcontext():
        if debug and first:
            _clear(folder)
        resume = None if debug else _resume_from(config, folder, trained_by)
        if first:
            if resume is None:
                _drop_statistics(config)
            with new_file(folder / CONFIG) as path:
                path.write_text(to_yaml(config), encoding="utf-8")
            versions = {"soke": __version__, "python": platform.python_version()}
            record(folder, "versions", versions | {package: version(package) for package in _PACKAGES})
        yield Run(config, folder, resume, debug)
        if debug and first:
            log.warning(
                "this was a trial run, %s: what it exported is hardly trained; add --nodebug to train in full",
                config.name,
            )


def record(folder: Path, name: str, values: dict[str, object]) -> None:
    """Writes `values` to <folder>/<name>.json."""
    with new_file(folder / f"{name}.json") as path:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def recorded(folder: Path, name: str, remedy: str) -> dict[str, Any]:
    """What a run has recorded in <folder>/<name>.json; nothing where it was trained before such records. Raises UserError,
    with the remedy, for what cannot be read."""
    path = folder / f"{name}.json"
    return read_json(path, remedy) if path.is_file() else {}


def results_folder(config: Config, out_dir: str | None, model_keys: Sequence[str], *below: str) -> Path:
    """`out_dir` where the user stands, else <RESULTS>/<NAME>/<below>. Raises UserError when the
    results of another model are there, which differs in the keys of these patterns."""
    folder = Path(out_dir) if out_dir is not None else resolve(config.results).joinpath(config.name, *below)
    if (folder / CONFIG).is_file():
        others = changes.of_model(changes.changes(folder / CONFIG, config), model_keys)
        if others:
            raise UserError(
                f"{folder} holds the results of another configuration (there -> here), {changes.described(others)}: "
                "choose another folder with --out_dir, another NAME, or remove it"
            )
    return folder


def replace_results(folder: Path, config: Config) -> None:
    """Removes all that an earlier test has written into `folder`, and says there whose results are to come."""
    if (folder / "table.json").is_file():
        for name in _OF_A_TEST:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "predictions", ignore_errors=True)
    with new_file(folder / CONFIG) as path:
        path.write_text(to_yaml(config), encoding="utf-8")


def _is_first_process() -> bool:
    """Of all nodes: where Lightning starts a node's processes itself, the first of each takes itself for rank 0."""
    from pytorch_lightning.utilities import rank_zero_only

    node = os.environ.get("NODE_RANK") or os.environ.get("GROUP_RANK") or "0"
    return rank_zero_only.rank == 0 and int(node) == 0


def _clear(folder: Path) -> None:
    """Removes everything but the lock, which would be another file if it were made again."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _drop_statistics(config: Config) -> None:
    """Those of a run that was broken off before its first checkpoint, if they are of other data than this run's."""
    folder = config.run_folder
    if (folder / CONFIG).is_file():
        found = changes.changes(folder / CONFIG, config)
        if any(key.startswith(("DATASET.", "PARTS", "TOKENIZER.DOWNSAMPLE")) for key in found):
            (folder / STATISTICS).unlink(missing_ok=True)


def _resume_from(config: Config, folder: Path, trained_by: Sequence[str]) -> str | None:
    """Raises UserError as `open_run` does."""
    wanted, own = config.train.resume, folder / "checkpoints" / LAST
    path = resolve(wanted) if wanted not in ("", "auto") else own
    if wanted not in ("", "auto") and not path.is_file():
        problem = "is a folder: name the .ckpt in its checkpoints/" if path.is_dir() else "does not exist"
        raise UserError(f"TRAIN.RESUME: {path} {problem}")
    if own.exists() and (not wanted or not path.is_relative_to(folder)):
        raise UserError(f"{folder} already holds a run: continue it with TRAIN.RESUME=auto, or choose another NAME")
    if not wanted or not path.is_file():
        return None
    _check_epochs(config, path)
    _check_settings(config, path, folder, trained_by)
    return str(path)


def _check_settings(config: Config, checkpoint: Path, folder: Path, trained_by: Sequence[str]) -> None:
    """Compares them with those that the checkpoint's run has recorded. Those of `folder` are kept where they change."""
    saved = checkpoint.parent.parent / CONFIG
    if not saved.is_file():
        log.warning("%s has no %s: it cannot be told whether it was trained with these settings", checkpoint, saved)
        return
    found = changes.changes(saved, config)
    free = config.train.extend or not config.train.optim.ends
    refused = changes.of_training(found, trained_by, free)
    if refused:
        extend = "; TRAIN.EXTEND=true continues to another TRAIN.END_EPOCH" if "TRAIN.END_EPOCH" in refused else ""
        raise UserError(
            f"TRAIN.RESUME: {checkpoint} was trained with other settings (saved -> asked), "
            f"{changes.described(refused)}: leave them as in {saved}, or choose another NAME and train anew{extend}"
        )
    if found and _is_first_process():
        log.warning("the run continues with other settings (saved -> asked): %s", changes.described(found))
        if saved.parent == folder:
            number = len(list(folder.glob("config.*.yaml")))
            shutil.copyfile(saved, folder / f"config.{number}.yaml")


def _check_epochs(config: Config, path: Path) -> None:
    content = _checkpoint(path)
    done, rates = content["epoch"] + 1, [group["lr"] for of in content["optimizer_states"] for group in of.get("param_groups", ())]
    if config.train.end_epoch < done:
        raise UserError(
            f"TRAIN.RESUME: {path} was trained for {done} epochs, beyond TRAIN.END_EPOCH={config.train.end_epoch}: "
            "raise it, or choose another NAME"
        )
    if config.train.end_epoch > done and rates and not any(rates):
        raise UserError(
            f"TRAIN.RESUME: in {path} the learning rate is down to 0, TRAIN.OPTIM.ETA_MIN, from which nothing more would be "
            "learnt: choose another NAME and begin from what was exported, TRAIN.INIT"
        )


def _checkpoint(path: Path) -> dict[str, Any]:
    """Of a training that can go on. Raises UserError for anything else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(
            f"TRAIN.RESUME: {path} cannot be read ({type(error).__name__}): it is damaged, or no checkpoint of "
            f"train.py; name checkpoints/{LAST} of a run"
        ) from error
    if isinstance(content, dict) and _TRAINING_STATE - content.keys() == {"optimizer_states", "lr_schedulers"}:
        raise UserError(
            f"TRAIN.RESUME: {path} holds weights alone, without the optimiser's state (TRAIN.SAVE.OPTIMIZER), so no "
            f"training goes on from it: name a checkpoint that has it, or choose another NAME and train anew"
        )
    if not isinstance(content, dict) or not _TRAINING_STATE <= content.keys():
        raise UserError(
            f"TRAIN.RESUME: {path} holds no state of a training, weights alone at most: name checkpoints/{LAST} of a "
            "run"
        )
    return content


def fit(run: Run, trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule) -> None:
    """Trains. Raises UserError when the checkpoint to start from is of another model."""
    if run.resume_from is not None:
        _check_weights(Path(run.resume_from), module)
    trainer.fit(module, datamodule=data, ckpt_path=run.resume_from, weights_only=True)


def _check_weights(path: Path, module: pl.LightningModule) -> None:
    theirs, ours = (
        {name: list(value.shape) for name, value in state.items() if isinstance(value, torch.Tensor)}
        for state in (_checkpoint(path)["state_dict"], module.state_dict())
    )
    unlike = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    if unlike:
        raise UserError(
            f"TRAIN.RESUME: {path} is of another model: {len(unlike)} weights differ, the first, {unlike[0]}, is "
            f"{theirs.get(unlike[0], changes.ABSENT)} there and {ours.get(unlike[0], changes.ABSENT)} here; name "
            "the checkpoint of a run with this configuration"
        )


def monitors(module: pl.LightningModule) -> dict[str, str]:
    """What of a module is exported as it was at its best -> the score that tells it; nothing where it names no score.

    A module's `monitor` is a score of all of it, whose name here is "", or {submodule: score} of those that are trained
    independently of each other.
    """
    named = module.monitor
    return {"": named} if isinstance(named, str) else dict(named or {})


def best_file(submodule: str = "") -> str:
    """Checkpoint of the epoch that was the best of a submodule, or of all of the module."""
    return f"best.{submodule}.ckpt" if submodule else BEST


def export(run: Run, module: pl.LightningModule, trainer: pl.Trainer) -> None:
    """Writes the model of the best checkpoint to `run.export`, of several where the module has them (see `monitors`);
    what has no best one, as when the module names no score, is that of the last. Its epochs, counted from 0, become
    `module.epochs` and stand in the run's provenance.

    Every process must call it; the first reads and writes.
    """
    if trainer.interrupted:
        return
    if trainer.is_global_zero:
        state, module.epochs, chosen = module.state_dict(), {}, []
        for submodule in monitors(module) or [""]:
            best = run.checkpoints / best_file(submodule)
            chosen.append(best if best.is_file() else run.checkpoints / LAST)
            if not chosen[-1].is_file():
                raise UserError(
                    f"TRAIN.RESUME: with {run.resume_from} the training is over, so {run.config.name} has trained nothing that "
                    "could be exported: raise TRAIN.END_EPOCH, or EVAL.PATIENCE if that has ended it"
                )
            checkpoint = torch.load(chosen[-1], map_location="cpu", weights_only=True)
            prefix = f"{submodule}." if submodule else ""
            state |= {name: value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)}
            module.epochs[submodule] = checkpoint["epoch"]
        module.load_state_dict(state)
    module.export(run.export)
    if trainer.is_global_zero:
        epochs = {submodule or "all": epoch for submodule, epoch in module.epochs.items()}
        before = recorded(run.folder, PROVENANCE, "choose another NAME and train anew")
        record(run.folder, PROVENANCE, {**before, **module.provenance(), "epochs": epochs})
        unseen = [score for name, score in monitors(module).items() if not (run.checkpoints / best_file(name)).is_file()]
        if unseen:
            log.warning("no validation had %s, so what is exported is of the last epoch", ", ".join(unseen))
        log.info("trained model in %s, from %s", run.export, ", ".join(path.name for path in chosen))
