"""Testing: what a producer makes of a split's sentences, or a translator of its motions, with floor and ceiling."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Literal, Mapping, Sequence

import numpy as np
import torch.distributed as dist
from tqdm import tqdm

from soke.body.layout import MotionLayout
from soke.body.model import BodyModel
from soke.body.motion import Motion
from soke.data.clip import Clip, Corpus
from soke.data.dataset import MotionDataset, MotionSample, SkippedClip
from soke.data.words import Level, level_of
from soke.errors import UserError
from soke.generator.producer import SignProducer
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.codebook import CodebookUse
from soke.metrics.joint_sets import Track, track_of
from soke.metrics.motion import Diversity, MotionScores
from soke.metrics.tables import ResultTable, write_clips
from soke.metrics.text import TextScores
from soke.storage import new_file
from soke.tokenizer.evaluation import MotionErrors
from soke.tokenizer.tokenizer import SignTokenizer
from soke.translation import BackTranslator

log = logging.getLogger(__name__)

GROUND_TRUTH, RECONSTRUCTION = "ground truth", "tokenizer reconstruction"
SHUFFLED = "{}, shuffled"
_CLIPS_AT_ONCE = 32  # whose joints and faces are held in memory together


@dataclass(frozen=True)
class Shares:
    """How processes that test together share the clips; by default there is one process, which tests all."""

    rank: int = 0
    processes: int = 1

    def own(self, items: Sequence[Any]) -> list[Any]:
        return list(items[self.rank :: self.processes])

    def gathered(self, items: Sequence[Any]) -> list[Any]:
        """The items of all processes, process by process. Every process must call it."""
        if self.processes == 1:
            return list(items)
        everyone: list[Any] = [None] * self.processes
        dist.all_gather_object(everyone, list(items))
        return [item for of_one in everyone for item in of_one]


@dataclass(frozen=True)
class Setting:
    """What a test is run on.

    corpora, split: the clips
    body:           makes joints of motions; its name stands in every signature
    limits:         shortest and longest reference in frames
    multiple:       every reference's length is a multiple of it, so that a tokenizer can keep it
    strict:         an unreadable clip is an error
    dtw:            exact or fastdtw
    level:          tokens of texts, or auto
    judges:         corpus -> its back-translation model
    shares:         this process's part in the test
    """

    corpora: Sequence[Corpus]
    split: str
    body: BodyModel
    limits: tuple[int, int] = (40, 400)
    multiple: int = 4
    strict: bool = False
    dtw: str = "exact"
    level: Level | Literal["auto"] = "auto"
    judges: Mapping[str, BackTranslator] = field(default_factory=dict)
    shares: Shares = Shares()


@dataclass
class Evaluation:
    """A test's outcome; what is per clip is of this process's share until `gather`.

    table:       the scores
    clips:       one dict per clip and row: corpus, clip, row, frames, then every score
    predictions: (corpus, clip name) -> the motion that was scored
    skipped:     clips that could not be read
    unscored:    (corpus, clip name, row) -> why it has no score
    """

    table: ResultTable
    clips: list[dict[str, object]] = field(default_factory=list)
    predictions: dict[tuple[str, str], Motion] = field(default_factory=dict)
    skipped: list[SkippedClip] = field(default_factory=list)
    unscored: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def gather(self, shares: Shares) -> Evaluation:
        """The outcome of all processes, in all of them; the table says what was left out."""
        clips = shares.gathered(self.clips)
        order = {key: i for i, key in enumerate(dict.fromkeys((c["corpus"], c["row"]) for c in clips))}
        clips.sort(key=lambda c: (order[c["corpus"], c["row"]], c["clip"]))
        skipped, unscored = shares.gathered(self.skipped), dict(shares.gathered(list(self.unscored.items())))
        if skipped:
            first = skipped[0]
            self.table.notes.append(f"{len(skipped)} clips could not be read; the first, {first}: {first.reason}")
        for (corpus, _, row), reason in list(unscored.items())[:1]:
            self.table.notes.append(f"{len(unscored)} scores are missing; the first, {row} on {corpus}: {reason}")
        predictions = dict(shares.gathered(list(self.predictions.items())))
        return Evaluation(self.table, clips, predictions, skipped, unscored)

    def save(self, folder: Path, predictions: bool = False) -> None:
        """Writes table.txt, .json, .csv, clips.csv, skipped_clips.txt and unscored_clips.txt if any, and
        predictions/<corpus>/<clip>.npz."""
        folder = Path(folder)
        self.table.save(folder)
        if self.clips:
            write_clips(folder, self.clips)
        unscored = [f"{corpus}/{clip}\t{row}\t{reason}\n" for (corpus, clip, row), reason in self.unscored.items()]
        for name, lines in (
            ("skipped_clips.txt", [f"{s}\t{s.reason}\n" for s in self.skipped]), ("unscored_clips.txt", unscored),
        ):  # fmt: skip
            if lines:
                with new_file(folder / name) as path:
                    path.write_text("".join(lines), encoding="utf-8")
        if predictions:
            for (corpus, name), motion in self.predictions.items():
                with new_file(folder / "predictions" / corpus / f"{name}.npz") as path:
                    np.savez_compressed(
                        path, rotations=motion.rotations.cpu().numpy(), expression=motion.expression.cpu().numpy(),
                        betas=motion.betas.cpu().numpy(), fps=motion.fps, made_by=motion.made_by,
                    )  # fmt: skip


@dataclass(frozen=True)
class _References:
    """This process's share of a corpus's clips, with what the layout covers of their motions.

    places: position of each in the corpus's list
    total:  clips of the corpus, over all processes, unreadable ones included
    """

    corpus: Corpus
    places: list[int]
    clips: list[Clip]
    motions: list[Motion]
    total: int


def generation(producer: SignProducer, setting: Setting) -> Evaluation:
    """Scores of generated motion; beside it the same motions shuffled between sentences (a floor that any use of the
    text must beat) and the tokenizer's reconstruction of the references (the generator's ceiling). Where there is a
    back-translation model, it reads all of them, and the references."""
    title, first = f"Text to motion, {setting.split} split", [GROUND_TRUTH, RECONSTRUCTION]
    evaluation = Evaluation(ResultTable(title, first, setting.split))
    tokenizer = producer.tokenizer
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer.layout, setting, evaluation)
        log.info("generating %d sentences of %s", len(references.clips), corpus.name)
        generated = producer.produce(references.clips)
        rebuilt = [motion.to("cpu") for motion in tokenizer.reconstruct(references.motions)]
        rows = {
            producer.name: generated,
            SHUFFLED.format(producer.name): _shuffled(references, generated, setting.shares),
            RECONSTRUCTION: rebuilt,
        }
        _score_motions(references, rows, tokenizer, setting, evaluation)
        if corpus.name in setting.judges:
            judge = setting.judges[corpus.name]
            read = {GROUND_TRUTH: references.motions, **rows}
            texts = {row: judge.translate(motions) for row, motions in read.items()}
            _score_texts(references, texts, judge.hash, setting, evaluation)
        _keep(references, generated, evaluation)
    return evaluation


def reconstruction(tokenizer: SignTokenizer, setting: Setting) -> Evaluation:
    """Joint and vertex errors frame by frame, DTW scores, and codebook use of a tokenizer."""
    evaluation = Evaluation(ResultTable(f"Tokenizer, {setting.split} split", split=setting.split))
    hashes = {"layout": tokenizer.layout.hash, "statistics": tokenizer.statistics_hash}
    device = setting.body.template.device
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer.layout, setting, evaluation)
        errors = MotionErrors(setting.body, **hashes)
        use = {part: CodebookUse(size, part, **hashes) for part, size in tokenizer.codebook_sizes.items()}
        motions = references.motions
        codes = [of_clip.cpu() for of_clip in tokenizer.encode_motions(motions)]
        rebuilt = tokenizer.decode_motions(codes, [m.fps for m in motions], [m.betas for m in motions])
        rebuilt = [motion.to("cpu") for motion in rebuilt]
        for of_clip in codes:
            for counter, column in zip(use.values(), of_clip.T):
                counter.update(column)
        for clip, ours, motion in zip(tqdm(references.clips, desc=f"errors {corpus.name}"), rebuilt, motions):
            errors.update(clip.name, ours.to(device), motion.to(device))
        for score in errors.scores():
            evaluation.table.add(RECONSTRUCTION, corpus.name, score, references.total)
        _score_motions(references, {RECONSTRUCTION: rebuilt}, tokenizer, setting, evaluation)
        scored = setting.shares.gathered([clip.name for clip in references.clips])
        for counter in use.values():
            values = {unit: float(value) for unit, value in counter.compute().items()}
            score = Score(counter.signature, values, {}, len(scored), True, hash_of_clips(scored))
            evaluation.table.add(RECONSTRUCTION, corpus.name, score, references.total)
        _keep(references, rebuilt, evaluation)
    return evaluation


def translation(
    translators: Mapping[str, Callable[[Sequence[Motion]], list[str]]], name: str, layout: MotionLayout,
    setting: Setting,
) -> Evaluation:  # fmt: skip
    """Texts that a translator makes of the references, and the same texts shuffled between the clips.

    translators: corpus -> motions to texts
    name:        of the row
    layout:      what of a motion is translated
    """
    evaluation = Evaluation(ResultTable(f"Motion to text, {setting.split} split", split=setting.split))
    for corpus in setting.corpora:
        references = _references(corpus, layout, setting, evaluation)
        log.info("translating %d clips of %s", len(references.clips), corpus.name)
        texts = translators[corpus.name](references.motions)
        rows = {name: texts, SHUFFLED.format(name): _shuffled(references, texts, setting.shares)}
        _score_texts(references, rows, None, setting, evaluation)
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


def _shuffled(references: _References, made: Sequence[Any], shares: Shares) -> list[Any]:
    """What was made for other clips of the corpus, of whichever process."""
    everything = shares.gathered(list(zip(references.places, (clip.text for clip in references.clips), made)))
    everything.sort(key=lambda entry: entry[0])
    moved = derangement([text for _, text, _ in everything])
    partner = {place: everything[other][2] for (place, _, _), other in zip(everything, moved)}
    return [partner[place] for place in references.places]


def _references(corpus: Corpus, layout: MotionLayout, setting: Setting, evaluation: Evaluation) -> _References:
    """Raises UserError when no clip of the corpus can be read."""
    dataset = MotionDataset([corpus], setting.split, layout, *setting.limits, setting.multiple, setting.strict)
    if setting.shares.rank == 0:
        evaluation.skipped += dataset.skipped
    places, clips, motions = [], [], []
    for place in tqdm(setting.shares.own(range(len(dataset))), desc=f"read {corpus.name}"):
        sample = dataset[place]
        if not isinstance(sample, MotionSample):
            evaluation.skipped.append(sample)
            continue
        places.append(place)
        clips.append(sample.clip)
        motions.append(layout.motion(sample.features, sample.motion.fps, sample.motion.betas))
    if not setting.shares.gathered(places):
        raise UserError(f"no clip of split {setting.split} of {corpus.name} can be read: check DATASET.CORPORA")
    return _References(corpus, places, clips, motions, len(dataset) + len(dataset.skipped))


def _keep(references: _References, motions: Sequence[Motion], evaluation: Evaluation) -> None:
    for clip, motion in zip(references.clips, motions):
        evaluation.predictions[references.corpus.name, clip.name] = motion


def _score_motions(
    references: _References, rows: Mapping[str, Sequence[Motion]], tokenizer: SignTokenizer, setting: Setting,
    evaluation: Evaluation,
) -> None:  # fmt: skip
    """Adds the scores of every row to the table and to the clips."""
    corpus, names = references.corpus.name, [clip.name for clip in references.clips]
    conditions = dict(
        fps=float(np.median(setting.shares.gathered([motion.fps for motion in references.motions]))),
        body=setting.body.label, layout=tokenizer.layout.hash, statistics=tokenizer.statistics_hash,
    )  # fmt: skip
    vertices = len(setting.body.face_vertices)
    metrics = {row: MotionScores(face_vertices=vertices, method=setting.dtw, **conditions) for row in rows}
    truth_diversity = Diversity(**conditions)
    for start in tqdm(range(0, len(names), _CLIPS_AT_ONCE), desc=f"score {corpus}"):
        part = slice(start, start + _CLIPS_AT_ONCE)
        truth = _tracks(setting.body, references.motions[part])
        truth_diversity.update_many(names[part], truth, truth)
        for row, motions in rows.items():
            metrics[row].update(names[part], _tracks(setting.body, motions[part]), truth)
    for row, of_row in metrics.items():
        for score in of_row.scores():
            evaluation.table.add(row, corpus, score, references.total)
        evaluation.unscored.update({(corpus, name, row): reason for name, reason in of_row.unscored.items()})
        per_clip = of_row.per_clip()
        for name, motion in zip(names, rows[row]):
            scores = per_clip.get(name, {})
            evaluation.clips.append({"corpus": corpus, "clip": name, "row": row, "frames": len(motion)} | scores)
        evaluation.table.notes += [f"{corpus}, {row}: {note}" for note in of_row.notes()]
    for score in truth_diversity.scores():
        evaluation.table.add(GROUND_TRUTH, corpus, score, references.total)


def _tracks(body: BodyModel, motions: Sequence[Motion]) -> list[Track]:
    return [track_of(body, motion) for motion in motions]


def _score_texts(
    references: _References, rows: Mapping[str, Sequence[str]], judge: str | None, setting: Setting,
    evaluation: Evaluation,
) -> None:  # fmt: skip
    """Adds the text scores of every row to the table and to the clips.

    judge: hash of the model that read produced motions; None where the model itself is tested
    """
    corpus = references.corpus.name
    level = level_of(setting.shares.gathered([clip.text for clip in references.clips]), setting.level)
    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    for row, texts in rows.items():
        metrics = TextScores(level, judge)
        for clip, text in zip(references.clips, texts):
            metrics.update(clip.name, text, clip.text)
        for score in metrics.scores():
            evaluation.table.add(row, corpus, score, references.total)
        evaluation.unscored.update({(corpus, name, row): reason for name, reason in metrics.unscored.items()})
        per_clip = metrics.per_clip()
        for clip, text in zip(references.clips, texts):
            entry = entries.get((row, clip.name))
            if entry is None:
                entry = {"corpus": corpus, "clip": clip.name, "row": row}
                evaluation.clips.append(entry)
            entry |= {"text": clip.text, "translation": text} | per_clip.get(clip.name, {})
