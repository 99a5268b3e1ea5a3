"""What a test is run on, and what its numbers depend on."""

from __future__ import annotations

import dataclasses

from soke import __version__
from soke.build.body import body_model
from soke.build.data import corpora_of, limits_of
from soke.build.tokenizer import export_folder_of
from soke.build.translation import back_translation_folder, folder_of_corpus, readers_of
from soke.evaluation.references import Setting
from soke.run.config import Config
from soke.run.processes import World
from soke.storage import folder_hash


def evaluation_setting(config: Config, world: World = World()) -> Setting:
    chosen = corpora_of(config)
    return Setting(
        chosen, config.test.split, body_model(config), limits_of(config), config.tokenizer.downsample,
        config.dataset.strict, config.metric.dtw, config.metric.level, readers_of(config, chosen), world,
        config.test.batch_size,
    )


def conditions_of(config: Config, task: str) -> dict[str, object]:
    """What the numbers of a test depend on besides clips and metrics, in plain types: the tested models, and how they
    were used.

    task: of a generator, t2m or m2t
    """
    stage, t = config.train.stage, config.test
    if stage == "translation":
        models = {name: folder_of_corpus(back_translation_folder(config), name) for name in config.dataset.corpora}
    else:
        models = {stage: export_folder_of(config)}
    found: dict[str, object] = {
        "models": {name: {"folder": str(folder), "hash": folder_hash(folder)} for name, folder in models.items()},
        "batch_size": t.batch_size, "code_version": __version__,
    }
    if stage == "generator":
        found |= {"task": task, "weights": t.weights, "retrieval_similar": config.generator.retrieval.similar}
    if stage == "generator" and task == "t2m":
        found["search"] = dataclasses.asdict(t.search)
    return found
