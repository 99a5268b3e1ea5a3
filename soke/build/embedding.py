"""Models that score motion by embedding it, new and trained: retrieval, one per corpus, and motion auto-encoders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from soke.build import agreement, devices, per_corpus
from soke.build.body import layout_of, scored_body
from soke.build.data import corpora_of, statistics_of
from soke.build.readers import with_sentences
from soke.build.starting import init_folder, tell
from soke.build.tokenizer import export_folder_of
from soke.data.clip import Corpus
from soke.data.fingerprints import annotation_hashes, other_data
from soke.embedding.autoencoder import MotionAutoencoder, Seen
from soke.embedding.retriever import CONFIG_FILE, HOW_TO_TRAIN, KIND, TextMotionRetriever
from soke.errors import UserError
from soke.run.config import Config, model_folder
from soke.run.processes import World
from soke.text.words import level_of

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.embedding.autoencoder_module import MotionAutoencoderModule
    from soke.embedding.module import RetrievalModule
    from soke.evaluation.outcome import Evaluation
    from soke.evaluation.references import Setting

log = logging.getLogger(__name__)

_FOLDER = "retrieval"  # of a corpus's model, in the folder of all

_MEASURED = 500  # clips of each corpus from which an auto-encoder's mean and standard deviation are


def retrieval_module(config: Config, data: SignDataModule) -> RetrievalModule:
    from soke.embedding.module import RetrievalModule

    r, parts, (corpus,) = config.retrieval, layout_of(config), data.corpora
    clips = data.dataset("train", "motion").clips
    statistics = statistics_of(config, parts, data.corpora)
    folder, trained, statistics = per_corpus.begun_from(
        config, corpus, CONFIG_FILE, TextMotionRetriever.from_pretrained, parts, statistics
    )
    level = level_of((clip.text for clip in clips), r.level)
    retriever = TextMotionRetriever.untrained(
        clips, parts, statistics, r, level, float(corpus.fps), annotation_hashes(corpus), trained
    )
    if trained is not None:
        per_corpus.take_from(trained, folder, retriever, corpus)
    return RetrievalModule(retriever, config.train.optim)


def retrieval_exports(config: Config) -> dict[str, Path]:
    """Corpus -> folder of its model."""
    return per_corpus.exports_of(config, with_sentences(config.dataset.corpora), _FOLDER)


def trained_retrievers(config: Config) -> dict[str, TextMotionRetriever]:
    """Corpus -> the model of this run."""
    parts, found = layout_of(config), {}
    for corpus in corpora_of(config):
        folder = retrieval_exports(config)[corpus.name]
        found[corpus.name] = _retriever(config, folder, corpus)
        agreement.check_retriever(config, parts, found[corpus.name], folder)
    return found


def retrieval_scores(retrievers: dict[str, TextMotionRetriever], config: Config, world: World) -> Evaluation:
    from soke.build.testing import evaluation_setting
    from soke.embedding.scoring import retrieval

    return retrieval(retrievers, layout_of(config), evaluation_setting(config, world))


def autoencoder_module(config: Config, data: SignDataModule) -> MotionAutoencoderModule:
    from soke.embedding.autoencoder_module import MotionAutoencoderModule

    parts, body, folder = layout_of(config), scored_body(config, "cpu"), init_folder(config)
    seen, trained = Seen.of(body, parts), None
    if folder is not None:
        trained = MotionAutoencoder.from_pretrained(folder)
        agreement.check_seen(config, seen, trained, folder)
    mean, std = _measured(config, data, seen) if trained is None else (trained.model.mean, trained.model.std)
    facts = {
        "corpora": [corpus.name for corpus in data.corpora], "training_clips": len(data.dataset("train", "motion")),
        "layout_hash": parts.hash, "form_of_frames": config.dataset.frames,
    }
    autoencoder = MotionAutoencoder.untrained(seen, mean, std, config.motion_autoencoder, facts, trained)
    if trained is not None:
        tell(autoencoder.take(trained), folder, autoencoder.model)
    return MotionAutoencoderModule(autoencoder, body, parts, config.train.optim, config.dataset.cache_frames)


def _measured(config: Config, data: SignDataModule, seen: Seen) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [J * 3] of the joints of training frames, of evenly spaced clips of each corpus."""
    from soke.evaluation.validation import spread_samples
    from soke.metrics.chunks import joints_of
    from soke.metrics.frechet import Moments
    from soke.metrics.joint_sets import Track

    samples, skipped = spread_samples(data.dataset("train", "motion"), _MEASURED)
    data.record(skipped)
    body, parts, sums = scored_body(config, "cpu"), layout_of(config), None
    for sample in samples:
        motion = parts.covered(sample.motion)
        track = Track(body.track(motion, list(seen.joints)), motion.fps)
        found = Moments.of(joints_of(track, seen.joints, motion.fps).flatten(1).numpy())
        sums = found if sums is None else sums + found
    if sums is None or sums.count < 2:
        raise UserError("no clip of the train split can be read: check `corpora`")
    return torch.tensor(sums.mean).float(), torch.tensor(sums.covariance.diagonal().clip(min=0)).sqrt().float()


def trained_autoencoder(config: Config) -> MotionAutoencoder:
    """The exported auto-encoder of this run."""
    folder = export_folder_of(config)
    autoencoder = MotionAutoencoder.from_pretrained(folder, devices.device_of(config))
    agreement.check_autoencoder(config, Seen.of(scored_body(config, "cpu"), layout_of(config)), autoencoder, folder)
    return autoencoder


def autoencoder_scores(autoencoder: MotionAutoencoder, config: Config, world: World) -> Evaluation:
    from soke.build.testing import evaluation_setting
    from soke.embedding.scoring import reconstruction

    return reconstruction(autoencoder, layout_of(config), evaluation_setting(config, world))


def with_embeddings(setting: Setting, config: Config) -> Setting:
    """A setting in which produced motion is also scored by the models that METRIC.RETRIEVAL and METRIC.FRECHET name."""
    return replace(setting, retrievers=_retrievers_of(config, setting.corpora), frechet=_frechet_of(config))


def _retrievers_of(config: Config, corpora: Sequence[Corpus]) -> dict[str, TextMotionRetriever]:
    """Corpus -> the retrieval model that scores what is made for it, where there is one."""
    missing = f"no retrieval of %s: there is no model in %s; {HOW_TO_TRAIN}"
    return per_corpus.scorers_of(config.metric.retrieval, corpora, _FOLDER, partial(_retriever, config), missing)


def _retriever(config: Config, folder: Path, corpus: Corpus) -> TextMotionRetriever:
    retriever = TextMotionRetriever.from_pretrained(folder, devices.device_of(config))
    agreement.check_scorer(config, layout_of(config), retriever, corpus, folder, KIND)
    return retriever


def _frechet_of(config: Config) -> MotionAutoencoder | None:
    if not config.metric.frechet:
        return None
    folder = model_folder(config.metric.frechet)
    autoencoder = MotionAutoencoder.from_pretrained(folder, devices.device_of(config))
    agreement.check_seen(config, Seen.of(scored_body(config, "cpu"), layout_of(config)), autoencoder, folder)
    for corpus in config.dataset.corpora:
        reason = other_data(autoencoder.provenance, corpus, {})
        if reason:
            log.warning("the motion auto-encoder in %s %s", folder, reason)
    return autoencoder
