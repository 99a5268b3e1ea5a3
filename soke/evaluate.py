"""Testing: what a producer makes of a split's sentences, in one table with floor and ceiling."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from soke.body.model import BodyModel
from soke.body.motion import Motion
from soke.data.clip import Clip, Corpus
from soke.data.dataset import MotionDataset, MotionSample, SkippedClip
from soke.generator.producer import SignProducer
from soke.generator.validation import scored_points
from soke.metrics.codebook import CodebookUse
from soke.metrics.motion import DTWJPE
from soke.metrics.tables import ResultTable
from soke.storage import new_file
from soke.tokenizer.evaluation import MotionErrors
from soke.tokenizer.tokenizer import SignTokenizer

log = logging.getLogger(__name__)

RECONSTRUCTION, SHUFFLED = "tokenizer reconstruction", "generated, shuffled"
PARTS, ALIGNMENTS = ("body", "hand"), ("root", "procrustes")


@dataclass(frozen=True)
class Setting:
    """What a test is run on.

    corpora, split: the clips
    body:           makes joints of motions; its name stands in every signature
    limits:         shortest and longest reference in frames
    strict:         an unreadable clip is an error
    dtw:            exact or fastdtw
    """

    corpora: Sequence[Corpus]
    split: str
    body: BodyModel
    limits: tuple[int, int] = (40, 400)
    strict: bool = False
    dtw: str = "exact"


@dataclass
class Evaluation:
    """A test's outcome.

    table:       the means
    clips:       one dict per clip and row: corpus, clip, row, frames, then every score
    predictions: (corpus, clip name) -> the motion that was scored
    skipped:     clips that could not be read
    """

    table: ResultTable
    clips: list[dict[str, object]] = field(default_factory=list)
    predictions: dict[tuple[str, str], Motion] = field(default_factory=dict)
    skipped: list[SkippedClip] = field(default_factory=list)

    def save(self, folder: Path, predictions: bool = False) -> None:
        """Writes table.txt, .json, .csv, clips.csv, skipped_clips.txt if any, and predictions/<corpus>/<clip>.npz."""
        self.table.save(folder)
        if self.clips:
            columns = list(dict.fromkeys(key for row in self.clips for key in row))
            with new_file(Path(folder) / "clips.csv") as path, path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, columns)
                writer.writeheader()
                writer.writerows(self.clips)
        if self.skipped:
            with new_file(Path(folder) / "skipped_clips.txt") as path:
                path.write_text("".join(f"{s}\t{s.reason}\n" for s in self.skipped), encoding="utf-8")
        if predictions:
            for (corpus, name), motion in self.predictions.items():
                with new_file(Path(folder) / "predictions" / corpus / f"{name}.npz") as path:
                    np.savez_compressed(
                        path, rotations=motion.rotations.cpu().numpy(), expression=motion.expression.cpu().numpy(),
                        betas=motion.betas.cpu().numpy(), fps=motion.fps,
                    )  # fmt: skip


def generation(producer: SignProducer, setting: Setting) -> Evaluation:
    """DTW-JPE and DTW-PA-JPE of generated motion; beside it the same motions shuffled between sentences (a floor that
    any use of the text must beat) and the tokenizer's reconstruction of the references (the generator's ceiling)."""
    evaluation = Evaluation(ResultTable(f"Text to motion, {setting.split} split"))
    tokenizer = producer.tokenizer
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer, setting, evaluation)
        clips, motions = [clip for clip, _ in references], [motion for _, motion in references]
        log.info("generating %d sentences of %s", len(clips), corpus.name)
        generated = producer.produce(clips)
        rows = {
            producer.name: generated,
            SHUFFLED: [generated[i] for i in derangement([clip.text for clip in clips])],
            RECONSTRUCTION: [_rebuilt(tokenizer, motion) for motion in tqdm(motions, desc="reconstruct", leave=False)],
        }
        _score(corpus, clips, motions, rows, tokenizer, setting, evaluation)
        evaluation.predictions.update({(corpus.name, clip.name): m for clip, m in zip(clips, generated)})
    return evaluation


def reconstruction(tokenizer: SignTokenizer, setting: Setting) -> Evaluation:
    """Joint and vertex errors frame by frame, DTW scores, and codebook use of a tokenizer."""
    evaluation = Evaluation(ResultTable(f"Tokenizer, {setting.split} split"))
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer, setting, evaluation)
        clips, motions = [clip for clip, _ in references], [motion for _, motion in references]
        hashes = {"layout": tokenizer.layout.hash, "statistics": tokenizer.statistics_hash}
        device = setting.body.template.device
        errors = MotionErrors(setting.body, **hashes).to(device)
        use = {part: CodebookUse(size, part, **hashes) for part, size in tokenizer.codebook_sizes.items()}
        rebuilt = []
        for clip, motion in tqdm(references, desc=f"reconstruct {corpus.name}"):
            codes = tokenizer.encode_motion(motion)
            for counter, column in zip(use.values(), codes.T):
                counter.update(column.cpu())
            rebuilt.append(tokenizer.decode_motion(codes, motion.fps, motion.betas).to("cpu"))
            errors.update(clip.name, rebuilt[-1].to(device), motion.to(device))
        for key, value in errors.compute().items():
            evaluation.table.add(RECONSTRUCTION, corpus.name, errors.signatures[key], {"mm": value})
        _score(corpus, clips, motions, {RECONSTRUCTION: rebuilt}, tokenizer, setting, evaluation)
        for counter in use.values():
            evaluation.table.add(
                RECONSTRUCTION, corpus.name, counter.signature, counter.compute(), higher_is_better=True
            )
        evaluation.predictions.update({(corpus.name, clip.name): m for clip, m in zip(clips, rebuilt)})
    return evaluation


def derangement(texts: Sequence[str]) -> list[int]:
    """For every position another one with another text, each used once where the texts allow it; always the same.

    A single text, or one that fills more than half of the list, keeps what cannot be moved.
    """
    ranks = dict(zip(dict.fromkeys(texts), np.random.default_rng(0).permutation(len(set(texts))).tolist()))
    order = sorted(range(len(texts)), key=lambda i: (ranks[texts[i]], i))  # equal texts stand together,
    most = max(Counter(texts).values(), default=0)  # so a shift by the largest group parts them all
    moved = [0] * len(texts)
    for position, index in enumerate(order):
        moved[index] = order[(position + most) % len(order)]
    return moved


def _references(
    corpus: Corpus, tokenizer: SignTokenizer, setting: Setting, evaluation: Evaluation
) -> list[tuple[Clip, Motion]]:
    """The clips of a corpus with what the layout covers of their motions, at lengths that the tokenizer can keep."""
    dataset = MotionDataset(
        [corpus], setting.split, tokenizer.layout, *setting.limits, multiple=tokenizer.downsample, strict=setting.strict
    )
    evaluation.skipped += dataset.skipped
    references = []
    for index in tqdm(range(len(dataset)), desc=f"read {corpus.name}"):
        sample = dataset[index]
        if not isinstance(sample, MotionSample):
            evaluation.skipped.append(sample)
            continue
        motion = tokenizer.layout.motion(sample.features, sample.motion.fps, sample.motion.betas)
        references.append((sample.clip, motion))
    return references


def _rebuilt(tokenizer: SignTokenizer, motion: Motion) -> Motion:
    return tokenizer.decode_motion(tokenizer.encode_motion(motion), motion.fps, motion.betas).to("cpu")


def _score(
    corpus: Corpus, clips: Sequence[Clip], references: Sequence[Motion], rows: Mapping[str, Sequence[Motion]],
    tokenizer: SignTokenizer, setting: Setting, evaluation: Evaluation,
) -> None:  # fmt: skip
    """Adds the DTW scores of every row to the table and to the clips."""
    conditions = dict(
        fps=float(np.median([motion.fps for motion in references])), body=setting.body.label, method=setting.dtw,
        layout=tokenizer.layout.hash, statistics=tokenizer.statistics_hash,
    )  # fmt: skip
    metrics = {
        row: {(part, align): DTWJPE(part, align, **conditions) for part in PARTS for align in ALIGNMENTS}
        for row in rows
    }
    for index, (clip, reference) in enumerate(tqdm(list(zip(clips, references)), desc=f"score {corpus.name}")):
        truth = scored_points(setting.body, reference)
        for row, motions in rows.items():
            points = scored_points(setting.body, motions[index])
            for (part, _), metric in metrics[row].items():
                metric.update(index, clip.name, points[part], truth[part])
    for row, of_row in metrics.items():
        for metric in of_row.values():
            evaluation.table.add(row, corpus.name, metric.signature, metric.compute())
        scores = {key: metric.per_clip() for key, metric in of_row.items()}
        for index, clip in enumerate(clips):
            entry = {"corpus": corpus.name, "clip": clip.name, "row": row, "frames": len(rows[row][index])}
            for (part, _), metric in of_row.items():
                metres, millimetres = scores[part, metric.align][index]
                name = f"{metric.signature.name} {part}"
                entry |= {f"{name} m": metres, f"{name} mm": millimetres}
            evaluation.clips.append(entry)
