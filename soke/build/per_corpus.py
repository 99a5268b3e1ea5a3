"""Models of which a run trains one for each corpus, and that score what is made for it: back-translation, retrieval."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from soke.body.layout import MotionLayout
from soke.build.readers import with_sentences
from soke.build.starting import check_form, init_of_corpus, kept_statistics, require_layout, tell
from soke.data.clip import Corpus
from soke.data.statistics import Statistics
from soke.run.config import Config, model_folder

log = logging.getLogger(__name__)

_Model = TypeVar("_Model")


def configs_of(config: Config) -> list[Config]:
    """A configuration for each corpus: each has its own model, <NAME>/<corpus>."""
    return [
        replace(config, name=f"{config.name}/{name}", dataset=replace(config.dataset, corpora={name: corpus}))
        for name, corpus in with_sentences(config.dataset.corpora).items()
    ]


def folder_of(folder: Path, corpus: str, kind: str) -> Path:
    """Where the model of a corpus lies in the folder of all. kind: name of its stage"""
    return folder / corpus / kind


def exports_of(config: Config, corpora: Iterable[str], kind: str) -> dict[str, Path]:
    """Corpus -> folder of this run's model, or of TEST.CHECKPOINT's."""
    folder = model_folder(config.test.checkpoint) if config.test.checkpoint else config.run_folder
    return {name: folder_of(folder, name, kind) for name in corpora}


def begun_from(
    config: Config, corpus: Corpus, file: str, load: Callable[[Path], Any], parts: MotionLayout, statistics: Statistics
) -> tuple[Path | None, Any, Statistics]:
    """Folder and model that a corpus's begins from, None without TRAIN.INIT, and the statistics that it goes on with.

    file:       which such a model's folder has
    load:       folder -> model
    statistics: of this run
    """
    folder = init_of_corpus(config, corpus, file)
    if folder is None:
        return None, None, statistics
    trained = load(folder)
    check_form(config, trained.form, folder)
    require_layout(parts, trained.layout, folder)
    return folder, trained, kept_statistics(config, statistics, *trained.statistics, folder)


def take_from(trained: Any, folder: Path, model: Any, corpus: Corpus) -> None:
    """Gives a corpus's model what it begins from, and logs what that is."""
    other = trained.language != corpus.language
    more = [f"it reads {trained.language}, {corpus.name} is {corpus.language}: words that both have are taken"] * other
    tell(model.take(trained), folder, model.model, *more)


def scorers_of(
    folder: str, corpora: Sequence[Corpus], kind: str, load: Callable[[Path, Corpus], _Model], missing: str
) -> dict[str, _Model]:
    """Corpus -> the model that scores what is made for it, where there is one.

    folder:  of all models, or its name on the hub; "": there are none
    load:    (folder, corpus) -> model
    missing: is logged where there is none, of the corpus's name and the folder
    """
    found = {}
    for corpus in corpora if folder else ():
        own = folder_of(model_folder(folder), corpus.name, kind)
        if own.is_dir():
            found[corpus.name] = load(own, corpus)
        else:
            log.warning(missing, corpus.name, own)
    return found
