"""Runs of plans (prepare/plans.py): programs that train and test what is missing, several at a time."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import torch

from soke.build.stages import stage_of
from soke.build.starting import INIT_HASH, init_hash
from soke.build.testing import SCORED_BY, hashes_of_scorers
from soke.errors import UserError
from soke.run import changes, folders
from soke.run.config import ROOT, Config, model_folder
from soke.storage import folder_hash, read_json
from soke.tokenizer.saved import saved_hash

_TOKENIZER_HASH = "tokenizer hash"  # of a generator's record
_OF_TESTS = ("TEST.*", "METRIC.*", "DATASET.*", "BODY.*")  # settings on which a test depends


def results_folder(config: Config) -> Path:
    return folders.results_folder(config, None, stage_of(config).model_keys)


class Workers:
    """Runs several programs at a time, each with its share of the cores and, where there are GPUs, one of them."""

    def __init__(self, jobs: int, logs: Path):
        gpus, self.logs, self.alone = torch.cuda.device_count(), logs, jobs == 1
        self._pool, self._free = ThreadPoolExecutor(jobs), SimpleQueue()
        cores = max(1, (os.cpu_count() or 1) // jobs)
        for number in range(jobs):
            shares = {"OMP_NUM_THREADS": str(cores), **({"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else {})}
            self._free.put({} if self.alone else shares)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def each(self, work: Callable[[Mapping[str, object], tuple], None], runs: Mapping[str, tuple]) -> None:
        """work: (what `run` takes besides its command, run) -> None. Raises UserError for the first that failed."""
        futures = [self._pool.submit(self._one, work, name, run) for name, run in runs.items()]
        faults = [fault for fault in (future.exception() for future in futures) if fault is not None]
        if faults:
            raise faults[0]

    def _one(self, work: Callable[[Mapping[str, object], tuple], None], name: str, run: tuple) -> None:
        share, begun = self._free.get(), time.monotonic()
        try:
            log = None if self.alone else self.logs / f"{re.sub(r'[^a-zA-Z0-9]+', '-', name)}.log"
            work({"env": share, "log": log}, run)
            if not self.alone:
                print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
        finally:
            self._free.put(share)


def train_once(config: Config, argv: Sequence[str], place: Mapping[str, object]) -> None:
    """Trains what is not there yet. Raises UserError where it is there, and was trained with other settings, or from
    another model than is there now."""
    if not folders.export_folder(config).is_dir():
        run(["train", *argv], **place)
        return
    others = changes.of_training(_changed(config.run_folder, config), stage_of(config).trained_by, extend=False)
    if others:
        raise UserError(
            f"{config.run_folder} was trained with other settings than the plan has (there -> here), "
            f"{changes.described(others)}: remove it to have it trained anew, or give the plan's file another name"
        )
    _check_origin(config)


def _check_origin(config: Config) -> None:
    """Raises UserError for a run that began from another model, or learnt the codes of another tokenizer, than lies there
    now, as far as it has recorded which."""
    of = folders.recorded(config.run_folder, folders.PROVENANCE, "remove the run to have it trained anew")
    found = {}
    if INIT_HASH in of:
        found["TRAIN.INIT"] = "began from another model", of[INIT_HASH], init_hash(config)
    if _TOKENIZER_HASH in of and config.tokenizer.path:
        now = saved_hash(model_folder(config.tokenizer.path))
        found["TOKENIZER.PATH"] = "learnt the codes of another tokenizer", of[_TOKENIZER_HASH], now
    for key, (did, then, now) in found.items():
        if now and then != now:
            raise UserError(
                f"{config.run_folder} {did} than {key} has now ({then} -> {now}): remove it to have it trained anew"
            )


def train_and_test(config: Config, argv: Sequence[str], timed: bool, place: Mapping[str, object]) -> None:
    train_once(config, argv, place)
    if not _is_tested(config, "timing.json" if timed else "table.json"):
        run(["test", *argv, *["--count_time"] * timed], **place)


def _is_tested(config: Config, file: str) -> bool:
    """Whether `file` is of a test of the models that are there now, by those that score now, with the settings of now."""
    folder = results_folder(config)
    if not (folder / file).is_file():
        return False
    table = read_json(folder / "table.json", "remove it to have it tested again")
    conditions = table.get("conditions", {})
    tested, models = conditions.get("models", {}), stage_of(config).exports(config)
    if SCORED_BY in conditions and conditions[SCORED_BY] != hashes_of_scorers(config):
        return False
    return not changes.of_training(_changed(folder, config), _OF_TESTS, extend=False) and all(
        folder_hash(models[name]) == of["hash"] for name, of in tested.items() if name in models
    )


def _changed(folder: Path, config: Config) -> changes.Changes:
    """In what a configuration differs from the one in a folder, which may have none."""
    return changes.changes(folder / folders.CONFIG, config) if (folder / folders.CONFIG).is_file() else {}


def run(command: Sequence[str], env: Mapping[str, str] | None = None, log: Path | None = None) -> None:
    """`python -m` of a program and its arguments, in a process of its own, which may start one per GPU.

    env: what its environment has besides; log: where its output goes. Raises UserError when it fails.
    """
    argv, environment = [sys.executable, "-m", *command], {**os.environ, **(env or {})}
    if log is None:
        failed = subprocess.run(argv, cwd=ROOT, env=environment).returncode
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            failed = subprocess.run(argv, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT).returncode
    if failed:
        where = f" ({log})" if log else ""
        raise UserError(f"`python -m {shlex.join(command)}` failed{where}; mend that and run this again")
