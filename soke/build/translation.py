"""Back-translation models, new and trained."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

from soke.body.motion import Motion
from soke.build import agreement, devices, per_corpus
from soke.build.body import layout_of
from soke.build.data import corpora_of, statistics_of
from soke.data.clip import Corpus, locale_of
from soke.data.fingerprints import annotation_hashes
from soke.run.config import Config
from soke.run.processes import World
from soke.text.words import level_of
from soke.translation import BackTranslator
from soke.translation.translator import CONFIG_FILE, KIND

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.evaluation.outcome import Evaluation
    from soke.evaluation.unfinished import Unfinished
    from soke.translation.module import TranslationModule

_FOLDER = "translation"  # of a corpus's model, in the folder of all


def models(config: Config) -> list[Config]:
    """A configuration for each corpus: each has its own model, <NAME>/<corpus>, and may have its own batch size."""
    train, sizes = config.train, config.translation.batch_sizes
    return [
        replace(
            own, train=replace(train, batch_size=sizes.get(name, train.batch_size)),
            translation=replace(own.translation, batch_sizes={}),
        )
        for own in per_corpus.configs_of(config) for name in own.dataset.corpora
    ]


def training_module(config: Config, data: SignDataModule) -> TranslationModule:
    from soke.translation.module import TranslationModule

    t, parts = config.translation, layout_of(config)
    (corpus,) = data.corpora
    clips = data.dataset("train", "motion").clips
    statistics = statistics_of(config, parts, data.corpora)
    folder, trained, statistics = per_corpus.begun_from(
        config, corpus, CONFIG_FILE, BackTranslator.from_pretrained, parts, statistics
    )
    translator = BackTranslator.untrained(
        clips, parts, statistics,
        t, locale_of(corpus), level_of((clip.text for clip in clips), t.level), t.pseudo_glosses, t.max_tokens,
        annotation_hashes(corpus), trained,
    )
    if trained is not None:
        per_corpus.take_from(trained, folder, translator, corpus)
    validation, train = data.dataset("val", "motion"), config.train
    return TranslationModule(translator, validation, t, train.optim, train.label_smoothing)


def back_translator(config: Config, folder: Path, corpus: Corpus, device: str | None = None) -> BackTranslator:
    """The model in `folder`, for the motions of a corpus. Raises UserError when it reads another sign language, or
    parts of the body that this configuration's layout leaves at rest; warns when it was trained on other data.

    device: None: where single-process work runs
    """
    translator = BackTranslator.from_pretrained(folder, device or devices.device_of(config))
    agreement.check_scorer(config, layout_of(config), translator, corpus, folder, KIND)
    return translator


def translators(config: Config) -> dict[str, Callable[[Sequence[Motion]], list[str]]]:
    """Corpus -> motions to texts, by the models of this run."""
    return {corpus.name: _translator(config, corpus).translate for corpus in corpora_of(config)}


def exports(config: Config) -> dict[str, Path]:
    """Corpus -> folder of its model."""
    return per_corpus.exports_of(config, config.dataset.corpora, _FOLDER)


def scores(
    translators: dict[str, Callable[[Sequence[Motion]], list[str]]], config: Config, world: World,
    unfinished: Unfinished | None = None,
) -> Evaluation:
    from soke.build.testing import evaluation_setting
    from soke.evaluation.rows import translation

    setting = evaluation_setting(config, world, unfinished=unfinished)
    return translation(translators, "back-translation model", layout_of(config), setting)


def _translator(config: Config, corpus: Corpus) -> BackTranslator:
    """The back-translation model of this run."""
    folder = exports(config)[corpus.name]
    translator = back_translator(config, folder, corpus)
    agreement.check_translator(config, layout_of(config), translator, folder)
    return translator


def folder_of_corpus(folder: Path, corpus: str) -> Path:
    """Where the back-translation model of a corpus lies in the folder of all."""
    return per_corpus.folder_of(folder, corpus, _FOLDER)


def readers_of(config: Config, corpora: Sequence[Corpus]) -> dict[str, BackTranslator]:
    """Corpus -> the back-translation model that reads what a generator makes, where there is one."""
    missing = (
        "no back-translation of %s: there is no model in %s; train it with `python -m train --cfg "
        "configs/back_translation.yaml --nodebug`, or set METRIC.BACK_TRANSLATION"
    )
    load = partial(back_translator, config)
    return per_corpus.scorers_of(config.metric.back_translation, corpora, _FOLDER, load, missing)
