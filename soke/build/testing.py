"""Tests: what one is run on, what its numbers depend on, and what becomes of them."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import ExitStack
from importlib.metadata import version
from typing import Callable, Mapping, Sequence

import torch

from soke import __version__
from soke.build.body import layout_of, scored_body
from soke.build.data import corpora_of
from soke.build.devices import device_of, start_processes
from soke.build.per_corpus import folder_of
from soke.build.stages import Stage, Task, stage_of
from soke.data.clip import Corpus
from soke.data.synthetic.known import known_corpus
from soke.errors import UserError
from soke.evaluation.oracle.features import ARMS_AND_HANDS, POINTS
from soke.evaluation.oracle.reader import Oracle
from soke.evaluation.outcome import Evaluation
from soke.evaluation.protocols import Coder, Reader
from soke.evaluation.references import Setting
from soke.evaluation.unfinished import Unfinished
from soke.run import folders
from soke.run.config import Config, model_folder, to_plain
from soke.run.locking import locked
from soke.run.processes import World
from soke.storage import folder_hash, program_hash

log = logging.getLogger(__name__)

SCORED_BY = "scored_by"  # of a table's conditions


def run(config: Config, task_name: str, out_dir: str | None, count_time: bool, full: bool = False) -> None:
    """Loads the trained model, scores it in as many processes as there are devices, prints the main scores, or all where
    `full` says so, and saves all. One that was broken off goes on, to the same numbers; until it ends, no other one can
    write to its folder. The arguments are those of test.py."""
    stage = stage_of(config)
    task = stage.task(task_name)
    if count_time and task.time is None:
        raise UserError(f"--count_time times a generator that makes motion, which {config.name} does not: leave it out")
    folders.seed(config)
    config, world = start_processes(config)
    model = task.load(config)
    folder = folders.results_folder(config, out_dir, stage.model_keys, *task.below)
    with ExitStack() as alone:
        world.of_first(lambda: alone.enter_context(locked(folder, "testing", "--out_dir")))
        conditions = world.of_first(lambda: conditions_of(config, stage, task))
        unfinished = Unfinished(folder / "unfinished", {**conditions, **_circumstances(config)})
        world.of_first(unfinished.begin)
        kept = {"unfinished": unfinished} if task.goes_on else {}
        evaluation = task.score(model, config, world, **kept).gather(world)
        if world.rank > 0:
            return
        evaluation.table.conditions = conditions
        if stage.producer is not None and task is stage.test:
            evaluation.table.conditions = {**conditions, SCORED_BY: hashes_of_scorers(config)}
        folders.replace_results(folder, config)
        evaluation.save(folder, predictions=config.test.save_predictions)
        unfinished.end()
        if full:
            evaluation.table.print()
        else:
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


def hashes_of_scorers(config: Config) -> dict[str, str]:
    """Of the files of every trained model by which METRIC has generated motion scored: what names it, with the corpus where
    there is one for each -> hash."""
    metric = config.metric
    named = {
        "METRIC.TOKENIZER": metric.tokenizer, "METRIC.FRECHET": metric.frechet,
        "METRIC.BACK_TRANSLATION": metric.back_translation, "METRIC.RETRIEVAL": metric.retrieval,
    }
    places = {key: model_folder(name) for key, name in named.items() if name}
    for key, kind in {"METRIC.BACK_TRANSLATION": "translation", "METRIC.RETRIEVAL": "retrieval"}.items():
        if key in places:  # the folder of all corpora's
            folder = places.pop(key)
            places |= {f"{key} {corpus}": folder_of(folder, corpus, kind) for corpus in config.dataset.corpora}
    return {key: folder_hash(place) for key, place in places.items() if place.is_dir()}


def _circumstances(config: Config) -> dict[str, object]:
    """What else may change the last digit of what a model produces, in plain types."""
    device = device_of(config)
    gpu = torch.cuda.get_device_name(device) if device != "cpu" else ""
    return {
        "test": to_plain(config.test), "program": program_hash(), "torch": torch.__version__, "device": [device, gpu],
        "transformers": version("transformers"), "threads": torch.get_num_threads(),
        "matmul": torch.get_float32_matmul_precision(),
    }


def evaluation_setting(
    config: Config, world: World = World(),
    readers: Callable[[Config, Sequence[Corpus]], Mapping[str, Reader]] = lambda config, corpora: {},
    unfinished: Unfinished | None = None, coder: Coder | None = None,
) -> Setting:
    """readers: corpora -> what reads the motions that are made for them; unfinished, coder: see `Setting`"""
    chosen = corpora_of(config)
    return Setting(
        chosen, scored_body(config), config.dataset, config.metric, config.test, config.tokenizer.frames(1),
        readers(config, chosen), world, unfinished, coder,
        oracles=oracles_of(config, chosen) if config.metric.oracle else {},
    )


def note_counted(evaluation: Evaluation, counts: Counter[str], world: World, name: str, note: str) -> None:
    """Says of how many motions something is true, where it is of any. Every process must call it.

    counts: of this process's producer, `made` and `name`
    note:   the sentence, with places for the numbers of all processes, {made} and {<name>}
    """
    totals = {key: sum(world.gathered([counts[key]])) for key in ("made", name)}
    if totals[name]:
        evaluation.table.notes.append(note.format(**totals))


def oracles_of(config: Config, corpora: Sequence[Corpus]) -> dict[str, Oracle]:
    """Corpus -> what knows the signs of its clips, of the synthetic ones among them. Raises UserError for a layout that
    does not see arms and hands."""
    layout, found = layout_of(config), {}
    unseen = sorted((POINTS if layout.of_positions else ARMS_AND_HANDS) - layout.covers)
    for corpus in corpora:
        known = known_corpus(corpus.root) if hasattr(corpus, "root") else None
        if known is None:
            log.warning(
                "no oracle of %s: of the synthetic corpora alone all signs are known, and of what `prepare.to_skeletons` makes of "
                "them on the stand-in with BODY.FLAT_HAND_MEAN=true", corpus.name,
            )
        elif unseen:
            raise UserError(f"METRIC.ORACLE=true reads arms and hands, and no part of PARTS sees {unseen[0]}: set it to false")
        else:
            found[corpus.name] = Oracle(known, config.dataset.frames, {"jaw", "expression"} <= layout.covers)
    return found
