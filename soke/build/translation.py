"""Back-translation models, new and trained."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

from soke.body.motion import Motion
from soke.build import agreement, devices
from soke.build.body import layout_of
from soke.build.data import corpora_of, statistics_of
from soke.build.readers import with_sentences
from soke.build.starting import check_form, init_of_corpus, kept_statistics, require_layout, tell
from soke.data.clip import Corpus, locale_of
from soke.data.fingerprints import annotation_hashes
from soke.run.config import Config, model_folder
from soke.run.processes import World
from soke.text.words import level_of
from soke.translation import BackTranslator
from soke.translation.translator import CONFIG_FILE

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.evaluation.outcome import Evaluation
    from soke.evaluation.unfinished import Unfinished
    from soke.translation.module import TranslationModule

log = logging.getLogger(__name__)


def models(config: Config) -> list[Config]:
    """A configuration for each corpus: each has its own model, <NAME>/<corpus>, and may have its own batch size."""
    train, sizes = config.train, config.translation.batch_sizes
    return [
        replace(
            config, name=f"{config.name}/{name}", dataset=replace(config.dataset, corpora={name: corpus}),
            train=replace(train, batch_size=sizes.get(name, train.batch_size)),
            translation=replace(config.translation, batch_sizes={}),
        )
        for name, corpus in with_sentences(config.dataset.corpora).items()
    ]


def training_module(config: Config, data: SignDataModule) -> TranslationModule:
    from soke.translation.module import TranslationModule

    t, parts = config.translation, layout_of(config)
    (corpus,) = data.corpora
    clips = data.dataset("train", "motion").clips
    statistics, folder, trained = statistics_of(config, parts, data.corpora), init_of_corpus(config, corpus, CONFIG_FILE), None
    if folder is not None:
        trained = BackTranslator.from_pretrained(folder)
        check_form(config, trained.form, folder)
        require_layout(parts, trained.layout, folder)
        statistics = kept_statistics(config, statistics, *trained.statistics, folder)
    translator = BackTranslator.untrained(
        clips, parts, statistics,
        t, locale_of(corpus), level_of((clip.text for clip in clips), t.level), t.pseudo_glosses, t.max_tokens,
        annotation_hashes(corpus), trained,
    )
    if trained is not None:
        other = trained.language != corpus.language
        more = [f"it reads {trained.language}, {corpus.name} is {corpus.language}: words that both have are taken"] * other
        tell(translator.take(trained), folder, translator.model, *more)
    validation, train = data.dataset("val", "motion"), config.train
    return TranslationModule(translator, validation, t, train.optim, train.label_smoothing)


def back_translator(config: Config, folder: Path, corpus: Corpus, device: str | None = None) -> BackTranslator:
    """The model in `folder`, for the motions of a corpus. Raises UserError when it reads another sign language, or
    parts of the body that this configuration's layout leaves at rest; warns when it was trained on other data.

    device: None: where single-process work runs
    """
    translator = BackTranslator.from_pretrained(folder, device or devices.device_of(config))
    agreement.check_scorer(config, layout_of(config), translator, corpus, folder, "back-translation model")
    return translator


def translators(config: Config) -> dict[str, Callable[[Sequence[Motion]], list[str]]]:
    """Corpus -> motions to texts, by the models of this run."""
    return {corpus.name: _translator(config, corpus).translate for corpus in corpora_of(config)}


def exports(config: Config) -> dict[str, Path]:
    """Corpus -> folder of its model."""
    folder = model_folder(config.test.checkpoint) if config.test.checkpoint else config.run_folder
    return {name: folder_of_corpus(folder, name) for name in config.dataset.corpora}


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
    return folder / corpus / "translation"


def readers_of(config: Config, corpora: Sequence[Corpus]) -> dict[str, BackTranslator]:
    """Corpus -> the back-translation model that reads what a generator makes, where there is one."""
    if not config.metric.back_translation:
        return {}
    readers = {}
    for corpus in corpora:
        folder = folder_of_corpus(model_folder(config.metric.back_translation), corpus.name)
        if not folder.is_dir():
            log.warning(
                "no back-translation of %s: there is no model in %s; train it with `python -m train --cfg "
                "configs/back_translation.yaml --nodebug`, or set METRIC.BACK_TRANSLATION", corpus.name, folder,
            )
            continue
        readers[corpus.name] = back_translator(config, folder, corpus)
    return readers
