"""Tests: what one is run on, what its numbers depend on, and what becomes of them."""

from __future__ import annotations

from typing import Callable, Mapping, Sequence

from soke import __version__
from soke.build.body import scored_body
from soke.build.data import corpora_of
from soke.build.devices import start_processes
from soke.build.stages import Stage, Task, stage_of
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.evaluation.protocols import Reader
from soke.evaluation.references import Setting
from soke.run import folders
from soke.run.config import Config
from soke.run.processes import World
from soke.storage import folder_hash


def run(config: Config, task_name: str, out_dir: str | None, count_time: bool) -> None:
    """Loads the trained model, scores it in as many processes as there are devices, prints the main scores and saves
    all. The arguments are those of test.py."""
    stage = stage_of(config)
    task = stage.task(task_name)
    if count_time and task.time is None:
        raise UserError(f"--count_time times a generator that makes motion, which {config.name} does not: leave it out")
    folders.seed(config)
    config, world = start_processes(config)
    model = task.load(config)
    folder = folders.results_folder(config, out_dir, stage.model_keys, *task.below)
    evaluation = task.score(model, config, world).gather(world)
    if world.rank > 0:
        return
    evaluation.table.conditions = conditions_of(config, stage, task)
    folders.replace_results(folder, config)
    evaluation.save(folder, predictions=config.test.save_predictions)
    evaluation.table.print_summary(evaluation.summary)
    if count_time:
        task.time(model, config, folder)
    print(f"\nall scores and their signatures: {folder / 'table.txt'}")


def conditions_of(config: Config, stage: Stage, task: Task) -> dict[str, object]:
    """What the numbers of a test depend on besides clips and metrics, in plain types: the tested models, and how they
    were used."""
    models = {
        name: {"folder": str(folder), "hash": folder_hash(folder)} for name, folder in stage.exports(config).items()
    }
    return {
        "models": models, "batch_size": config.test.batch_size, "code_version": __version__, **task.conditions(config)
    }


def evaluation_setting(
    config: Config, world: World = World(),
    readers: Callable[[Config, Sequence[Corpus]], Mapping[str, Reader]] = lambda config, corpora: {},
) -> Setting:
    """readers: corpora -> what reads the motions that are made for them"""
    chosen = corpora_of(config)
    return Setting(
        chosen, scored_body(config), config.dataset, config.metric, config.test, config.tokenizer.frames(1),
        readers(config, chosen), world,
    )
