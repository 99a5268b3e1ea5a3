"""Tests of this room's models: how well a retrieval model finds what belongs together, and what an auto-encoder keeps."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tqdm import tqdm

from soke.body.layout import MotionLayout
from soke.embedding.autoencoder import MotionAutoencoder
from soke.embedding.retriever import TextMotionRetriever
from soke.errors import UserError
from soke.evaluation.frechet import FrechetScores
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import References, Setting, read_references
from soke.evaluation.retrieval import score_retrieval
from soke.evaluation.rows import SHUFFLED, of_other_clips
from soke.metrics.clips import ClipMetric, clip_id
from soke.metrics.joint_sets import Track, thousandth, track_of
from soke.metrics.signature import Signature
from soke.report.tables import ResultTable

log = logging.getLogger(__name__)

MODEL, MEAN, HALVES = "motion auto-encoder", "mean of the training's poses", "one half of the references, to the other"
_OF_RETRIEVAL = ((("R@1", "text→motion"), ("R@10", "text→motion"), ("R@1", "motion→text"), ("R@10", "motion→text")),)
_OF_CHUNKS = ((("reconstruction error", "chunks"), ("Fréchet distance", "latents"), ("Fréchet distance", "poses")),)


def retrieval(
    retrievers: Mapping[str, TextMotionRetriever], layout: MotionLayout, setting: Setting
) -> Evaluation:
    """Sentences and the signers' motions of each corpus, found by each other; and the same with motions and sentences
    shuffled, which chance finds. Raises UserError when no clip of a corpus can be read.

    retrievers: corpus -> its model
    layout:     what of a motion is kept
    """
    table = ResultTable(f"Text-motion retrieval, {setting.split} split", split=setting.split)
    evaluation = Evaluation(table, _OF_RETRIEVAL)
    for corpus in setting.corpora:
        references = read_references(corpus, layout, setting)
        evaluation.skipped += references.skipped
        log.info("embedding %d clips of %s", len(references.clips), corpus.name)
        rows = {SHUFFLED.format("ground truth"): of_other_clips(references, references.motions, setting.world)}
        names = {clip.name for clip in references.clips}
        score_retrieval(references, rows, retrievers[corpus.name], setting, evaluation, names)
    return evaluation


class ReconstructionError(ClipMetric):
    """Mean over clips of the mean distance of the scored joints of a clip's chunks to what becomes of them."""

    def __init__(self, autoencoder: MotionAutoencoder, **conditions: str | None) -> None:
        seen = autoencoder.seen
        super().__init__([Signature(
            "reconstruction error", "chunks", "root", f"{seen.count}of{sum(of.total for of in seen.joints.values())}",
            units=(thousandth(seen.unit),), fps=autoencoder.fps, chunk=autoencoder.chunk, **conditions,
        )], 1)

    def update(self, name: str, found: torch.Tensor, wanted: torch.Tensor) -> None:
        """[N, chunk, J * 3] each, N at least 1"""
        self._add(name, np.array([1000.0 * (found - wanted).unflatten(2, (-1, 3)).norm(dim=3).mean().item()]))


@torch.no_grad()
def reconstruction(autoencoder: MotionAutoencoder, layout: MotionLayout, setting: Setting) -> Evaluation:
    """What becomes of the signers' motions of each corpus, beside a mean pose; and the Fréchet distances of one half of the
    clips to the other, below which no difference between systems of different clips means anything. Raises UserError when
    no clip of a corpus can be read, or is as long as a chunk.

    layout: what of a motion is kept
    """
    table = ResultTable(f"Motion auto-encoder, {setting.split} split", [MODEL, MEAN], setting.split)
    evaluation, conditions = Evaluation(table, _OF_CHUNKS), {"body": setting.body.label, "layout": layout.hash}
    for corpus in setting.corpora:
        references = read_references(corpus, layout, setting)
        evaluation.skipped += references.skipped
        metrics = {row: ReconstructionError(autoencoder, **conditions) for row in (MODEL, MEAN)}
        tracks = []
        for clip, motion in zip(references.clips, tqdm(references.motions, desc=f"reconstruct {corpus.name}")):
            tracks.append(track_of(setting.body, motion, face=False))
            chunks = autoencoder.chunks(setting.body, motion).to(autoencoder.model.mean)
            if not len(chunks):
                evaluation.unscored[corpus.name, clip.name, MODEL] = f"it is shorter than {autoencoder.chunk} frames"
                continue
            found = {MODEL: autoencoder.model.reconstruct(chunks), MEAN: autoencoder.model.mean.expand_as(chunks)}
            for row, metric in metrics.items():
                metric.update(clip.name, found[row], chunks)
        if not sum(setting.world.gathered([len(metrics[MODEL].ids)])):
            raise UserError(
                f"no clip of {corpus.name} is as long as a chunk, {autoencoder.chunk} frames at {autoencoder.fps:g} frames/s"
            )
        for row, metric in metrics.items():
            for score in metric.scores():
                table.add(row, corpus.name, score, references.total)
            for name, values in metric.per_clip().items():
                unit = metric.signatures[0].units[0]
                evaluation.clips.append({
                    "corpus": corpus.name, "clip": name, "row": row, f"reconstruction error chunks {unit}": float(values[0]),
                })
        _add_halves(references, tracks, autoencoder, conditions, setting, evaluation)
    return evaluation


def _add_halves(
    references: References, tracks: Sequence[Track], autoencoder: MotionAutoencoder, conditions: Mapping[str, str],
    setting: Setting, evaluation: Evaluation,
) -> None:
    """Of the clips of all processes, in the order of their ids, every second one against the others."""
    everyone = setting.world.gathered([clip_id(clip.name) for clip in references.clips])
    place = {number: i for i, number in enumerate(sorted(everyone))}
    halves = FrechetScores(autoencoder, setting.body.point_sets, setting.body.unit, **conditions)
    for block in references.blocks:
        names, of_half = [clip.name for clip in references.clips[block]], ([], [])
        for name, track in zip(names, tracks[block]):
            of_half[place[clip_id(name)] % 2].append(track)
        halves.add(references.places[block.start], names, {HALVES: of_half[0]}, of_half[1])
    scores, notes = halves.scores(setting.world)
    for score in scores.get(HALVES, ()):
        evaluation.table.add(HALVES, references.corpus.name, score, references.total)
    evaluation.table.notes += [f"{references.corpus.name}: {note}" for note in notes]
