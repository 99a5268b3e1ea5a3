"""Testing: what a producer makes of a split's sentences, or a translator of its motions, with floor and ceiling."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Literal, Mapping, Sequence, TypeVar

import numpy as np
from torch import Tensor
from tqdm import tqdm

from soke.body.layout import MotionLayout
from soke.body.model import BodyModel
from soke.body.motion import Motion
from soke.data.clip import Clip, Corpus
from soke.data.dataset import MotionDataset, MotionSample, SkippedClip
from soke.data.saved import write_motion
from soke.errors import UserError
from soke.generator.producer import SignProducer
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.codebook import CodebookUse
from soke.metrics.joint_sets import Track, track_of
from soke.metrics.motion_errors import MotionErrors
from soke.metrics.motion_scores import Diversity, MotionScores
from soke.metrics.text_scores import TextScores
from soke.report.tables import ResultTable, write_clips
from soke.run.processes import items_of_all
from soke.storage import new_file
from soke.text.words import Level, level_of
from soke.tokenizer.tokenizer import SignTokenizer
from soke.translation import BackTranslator

log = logging.getLogger(__name__)

GROUND_TRUTH, RECONSTRUCTION = "ground truth", "tokenizer reconstruction"
SHUFFLED = "{}, shuffled"
# Metric and part of the columns that a test ends with on the screen; all others are in the files.
_OF_MOTIONS = ((("DTW-PA-JPE", "hand"), ("DTW-PA-JPE", "body"), ("BLEU-4", ""), ("length", "")),)
_OF_TEXTS = ((("BLEU-4", ""), ("ROUGE-L", ""), ("WER", "")),)
_OF_ERRORS = (
    ("PA-MPJPE", "body"), ("PA-MPJPE", "hand"), ("PA-MPVPE", "all"), ("PA-MPVPE", "hand"), ("PA-MPVPE", "face"),
)
_CLIPS_AT_ONCE = 16  # whose joints and faces, of all rows, are held in memory together

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Shares:
    """How processes that test together share the blocks of clips; by default there is one process, which tests all."""

    rank: int = 0
    processes: int = 1

    def own(self, items: Sequence[Any]) -> list[Any]:
        return list(items[self.rank :: self.processes])

    def gathered(self, items: Sequence[Any]) -> list[Any]:
        """The items of all processes, process by process. Every process must call it."""
        return items_of_all(items) if self.processes > 1 else list(items)


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
    block:          clips that are worked on together, the same ones however many processes there are: what a model
                    computes may depend, in the last digit, on what else is in its batch
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
    block: int = 32


@dataclass
class Evaluation:
    """A test's outcome; what is per clip is of this process's share until `gather`.

    table:       the scores
    summary:     of the table, see `ResultTable.print_summary`
    clips:       one dict per clip and row: corpus, clip, row, frames, then every score
    predictions: (corpus, clip name) -> the motion that was made, at the frame rate it was made at
    skipped:     clips that could not be read
    unscored:    (corpus, clip name, the row that cannot be scored, or "text") -> why no row has scores of its motion,
                 or of its text
    """

    table: ResultTable
    summary: Sequence[Sequence[tuple[str, str]]] = ()
    clips: list[dict[str, object]] = field(default_factory=list)
    predictions: dict[tuple[str, str], Motion] = field(default_factory=dict)
    skipped: list[SkippedClip] = field(default_factory=list)
    unscored: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def gather(self, shares: Shares) -> Evaluation:
        """The outcome of all processes, in all of them; the table says what was left out."""
        # In an order that does not tell how many processes there were.
        order = {key: i for i, key in enumerate(dict.fromkeys((c.corpus, c.row) for c in self.table.cells))}
        clips = shares.gathered(self.clips)
        clips.sort(key=lambda c: (order.get((c["corpus"], c["row"]), len(order)), c["clip"]))
        skipped = sorted(shares.gathered(self.skipped), key=str)
        unscored = dict(sorted(shares.gathered(list(self.unscored.items()))))
        if skipped:
            first = skipped[0]
            self.table.notes.append(f"{len(skipped)} clips could not be read; the first, {first}: {first.reason}")
        for (corpus, _, row), reason in list(unscored.items())[:1]:
            self.table.notes.append(
                f"{len(unscored)} clips have no scores of motion, or of text, in any row; the first, {row} on "
                f"{corpus}: {reason}"
            )
        predictions = dict(shares.gathered(list(self.predictions.items())))
        return Evaluation(self.table, self.summary, clips, predictions, skipped, unscored)

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
        ):
            if lines:
                with new_file(folder / name) as path:
                    path.write_text("".join(lines), encoding="utf-8")
        if predictions:
            for (corpus, name), motion in self.predictions.items():
                write_motion(folder / "predictions" / corpus / f"{name}.npz", motion)


@dataclass(frozen=True)
class _References:
    """This process's share of a corpus's clips, with what the layout covers of their motions, block after block.

    blocks: which of them are one
    places: position of each clip in the corpus's list
    total:  clips of the corpus, over all processes, unreadable ones included
    """

    corpus: Corpus
    blocks: list[slice]
    places: list[int]
    clips: list[Clip]
    motions: list[Motion]
    total: int

    def by_block(
        self, make: Callable[[Sequence[_Item]], Sequence[_Made]], items: Sequence[_Item], done: str
    ) -> list[_Made]:
        """What `make` makes of the items of each block, one item per clip, in the order of the clips."""
        made: list[_Made] = []
        for block in tqdm(self.blocks, desc=f"{done} {self.corpus.name}", leave=False):
            made += make(items[block])
        return made


def generation(producer: SignProducer, setting: Setting) -> Evaluation:
    """Scores of generated motion; beside it the same motions shuffled between sentences (a floor that any use of the
    text must beat) and the tokenizer's reconstruction of the references (the generator's ceiling). Where there is a
    back-translation model, it reads all of them, and the references."""
    table = ResultTable(f"Text to motion, {setting.split} split", [GROUND_TRUTH, RECONSTRUCTION], setting.split)
    evaluation = Evaluation(table, _OF_MOTIONS)
    tokenizer = producer.tokenizer
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer.layout, setting, evaluation)
        log.info("generating %d sentences of %s", len(references.clips), corpus.name)
        generated = references.by_block(producer.produce, references.clips, "generate")
        rebuilt = references.by_block(partial(_rebuilt, tokenizer), references.motions, "reconstruct")
        rows = {
            producer.name: generated,
            SHUFFLED.format(producer.name): _shuffled(references, generated, setting.shares),
            RECONSTRUCTION: rebuilt,
        }
        _score_motions(references, rows, tokenizer, setting, evaluation)
        if corpus.name in setting.judges:
            judge = setting.judges[corpus.name]
            read = {GROUND_TRUTH: references.motions, producer.name: generated, RECONSTRUCTION: rebuilt}
            texts = {row: references.by_block(judge.translate, motions, "read") for row, motions in read.items()}
            texts[SHUFFLED.format(producer.name)] = _shuffled(references, texts[producer.name], setting.shares)
            _score_texts(references, texts, judge.hash, setting, evaluation)
        _keep(references, generated, evaluation)
    return evaluation


def reconstruction(tokenizer: SignTokenizer, setting: Setting) -> Evaluation:
    """DTW scores, joint and vertex errors frame by frame, and codebook use of a tokenizer."""
    codebooks = [("codebook-use", part) for part in tokenizer.parts]
    table = ResultTable(f"Tokenizer, {setting.split} split", split=setting.split)
    evaluation = Evaluation(table, [_OF_ERRORS, codebooks])
    hashes = {"layout": tokenizer.layout.hash, "statistics": tokenizer.statistics_hash}
    device = setting.body.template.device
    for corpus in setting.corpora:
        references = _references(corpus, tokenizer.layout, setting, evaluation)
        errors = MotionErrors(setting.body, **hashes)
        use = {part: CodebookUse(size, part, **hashes) for part, size in tokenizer.codebook_sizes.items()}
        codes = references.by_block(partial(_encoded, tokenizer), references.motions, "encode")
        for of_clip in codes:
            for counter, column in zip(use.values(), of_clip.T):
                counter.update(column)
        made = list(zip(codes, references.motions))
        rebuilt = references.by_block(partial(_decoded, tokenizer), made, "decode")
        scored = _score_motions(references, {RECONSTRUCTION: rebuilt}, tokenizer, setting, evaluation)
        clips = tqdm(references.clips, desc=f"errors {corpus.name}")
        for clip, ours, motion in zip(clips, rebuilt, references.motions):
            if clip.name in scored:
                errors.update(clip.name, ours.to(device), motion.to(device))
        for score in errors.scores():
            evaluation.table.add(RECONSTRUCTION, corpus.name, score, references.total)
        counted = setting.shares.gathered([clip.name for clip in references.clips])
        for counter in use.values():
            values = {unit: float(value) for unit, value in counter.compute().items()}
            score = Score(counter.signature, values, {}, len(counted), True, hash_of_clips(counted))
            evaluation.table.add(RECONSTRUCTION, corpus.name, score, references.total)
        _keep(references, rebuilt, evaluation)
    return evaluation


def translation(
    translators: Mapping[str, Callable[[Sequence[Motion]], list[str]]], name: str, layout: MotionLayout,
    setting: Setting,
) -> Evaluation:
    """Texts that a translator makes of the references, and the same texts shuffled between the clips.

    translators: corpus -> motions to texts
    name:        of the row
    layout:      what of a motion is translated
    """
    table = ResultTable(f"Motion to text, {setting.split} split", split=setting.split)
    evaluation = Evaluation(table, _OF_TEXTS)
    for corpus in setting.corpora:
        references = _references(corpus, layout, setting, evaluation)
        log.info("translating %d clips of %s", len(references.clips), corpus.name)
        texts = references.by_block(translators[corpus.name], references.motions, "translate")
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
    blocks, places, clips, motions = [], [], [], []
    own = setting.shares.own(_blocks([clip.text for clip in dataset.clips], setting.block))
    for block in tqdm(own, desc=f"read {corpus.name}"):
        for place in block:
            sample = dataset[place]
            if not isinstance(sample, MotionSample):
                evaluation.skipped.append(sample)
                continue
            places.append(place)
            clips.append(sample.clip)
            motion = sample.motion
            motions.append(layout.motion(sample.features, motion.fps, motion.betas, motion.made_by))
        start = blocks[-1].stop if blocks else 0
        if len(clips) > start:
            blocks.append(slice(start, len(clips)))
    if not setting.shares.gathered(places):
        raise UserError(f"no clip of split {setting.split} of {corpus.name} can be read: check DATASET.CORPORA")
    return _References(corpus, blocks, places, clips, motions, len(dataset) + len(dataset.skipped))


def _blocks(texts: Sequence[str], size: int) -> list[list[int]]:
    """Positions of the texts in blocks of `size`, those of similar length together."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _encoded(tokenizer: SignTokenizer, motions: Sequence[Motion]) -> list[Tensor]:
    """The codes [K, P] of each motion, on the CPU."""
    return [codes.cpu() for codes in tokenizer.encode_motions(motions)]


def _decoded(tokenizer: SignTokenizer, made: Sequence[tuple[Tensor, Motion]]) -> list[Motion]:
    """What becomes of codes, on the CPU, with the frame rate and the shape of the motion that each were made of."""
    codes, motions = zip(*made)
    rebuilt = tokenizer.decode_motions(codes, [m.fps for m in motions], [m.betas for m in motions])
    return [motion.to("cpu") for motion in rebuilt]


def _rebuilt(tokenizer: SignTokenizer, motions: Sequence[Motion]) -> list[Motion]:
    return [motion.to("cpu") for motion in tokenizer.reconstruct(motions)]


def _keep(references: _References, motions: Sequence[Motion], evaluation: Evaluation) -> None:
    for clip, motion in zip(references.clips, motions):
        evaluation.predictions[references.corpus.name, clip.name] = motion


def _score_motions(
    references: _References, rows: Mapping[str, Sequence[Motion]], tokenizer: SignTokenizer, setting: Setting,
    evaluation: Evaluation,
) -> set[str]:
    """Adds the scores of every row to the table and to the clips; returns the clips of this process that have scores.

    All is scored at the corpus's frame rate. A clip that cannot be scored in one row is left out of all. Raises
    UserError when none can be.
    """
    corpus, fps, names = references.corpus.name, float(references.corpus.fps), [clip.name for clip in references.clips]
    conditions = dict(
        fps=fps, body=setting.body.label, layout=tokenizer.layout.hash, statistics=tokenizer.statistics_hash
    )
    vertices = len(setting.body.face_vertices)
    metrics = {row: MotionScores(face_vertices=vertices, method=setting.dtw, **conditions) for row in rows}
    truth_diversity, faults = Diversity(**conditions), {}
    for part in tqdm(list(_parts(references.blocks)), desc=f"score {corpus}"):
        truth = _tracks(setting.body, references.motions[part], fps)
        tracks = {row: _tracks(setting.body, motions[part], fps) for row, motions in rows.items()}
        for row, of_row in tracks.items():
            for name, reason in metrics[row].faults(names[part], of_row, truth).items():
                faults.setdefault(name, (row, reason))
        good = [i for i, name in enumerate(names[part]) if name not in faults]
        chosen, truth = [names[part][i] for i in good], [truth[i] for i in good]
        truth_diversity.update_many(chosen, truth, truth)
        for row, of_row in tracks.items():
            metrics[row].add_checked(chosen, [of_row[i] for i in good], truth)
    evaluation.unscored |= {(corpus, name, row): reason for name, (row, reason) in faults.items()}
    _require_scores(references, faults, setting)
    for row, of_row in metrics.items():
        for score in of_row.scores():
            evaluation.table.add(row, corpus, score, references.total)
        per_clip = of_row.per_clip()
        for name, motion in zip(names, rows[row]):
            scores = per_clip.get(name, {})
            evaluation.clips.append({"corpus": corpus, "clip": name, "row": row, "frames": len(motion)} | scores)
        evaluation.table.notes += [f"{corpus}, {row}: {note}" for note in of_row.notes()]
    for score in truth_diversity.scores():
        evaluation.table.add(GROUND_TRUTH, corpus, score, references.total)
    return set(names) - set(faults)


def _parts(blocks: Sequence[slice]) -> Iterator[slice]:
    """The blocks, each in parts of at most `_CLIPS_AT_ONCE` clips."""
    for block in blocks:
        for start in range(block.start, block.stop, _CLIPS_AT_ONCE):
            yield slice(start, min(start + _CLIPS_AT_ONCE, block.stop))


def _tracks(body: BodyModel, motions: Sequence[Motion], fps: float) -> list[Track]:
    return [track_of(body, motion.resampled(fps)) for motion in motions]


def _require_scores(references: _References, faults: Mapping[str, tuple[str, str]], setting: Setting) -> None:
    """Raises UserError when no clip of the corpus can be scored; faults: clip -> row and reason, of this process."""
    everywhere = setting.shares.gathered([(len(references.clips), faults)])
    reasons = {name: why for _, of_process in everywhere for name, why in of_process.items()}
    if len(reasons) == sum(count for count, _ in everywhere):
        row, reason = reasons[min(reasons)]
        raise UserError(f"no clip of {references.corpus.name} can be scored; the first, {row}: {reason}")


def _score_texts(
    references: _References, rows: Mapping[str, Sequence[str]], judge: str | None, setting: Setting,
    evaluation: Evaluation,
) -> None:
    """Adds the text scores of every row to the table and to the clips.

    judge: hash of the model that read produced motions; None where the model itself is tested
    """
    corpus, faults = references.corpus.name, {}
    level = level_of(setting.shares.gathered([clip.text for clip in references.clips]), setting.level)
    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    for row, texts in rows.items():
        metrics = TextScores(level, judge)
        for clip, text in zip(references.clips, texts):
            metrics.update(clip.name, text, clip.text)
        faults = {name: ("text", reason) for name, reason in metrics.unscored.items()}  # of the references: in all rows
        _require_scores(references, faults, setting)
        for score in metrics.scores():
            evaluation.table.add(row, corpus, score, references.total)
        per_clip = metrics.per_clip()
        for clip, text in zip(references.clips, texts):
            entry = entries.get((row, clip.name))
            if entry is None:
                entry = {"corpus": corpus, "clip": clip.name, "row": row}
                evaluation.clips.append(entry)
            entry |= {"text": clip.text, "translation": text} | per_clip.get(clip.name, {})
    evaluation.unscored |= {(corpus, name, row): reason for name, (row, reason) in faults.items()}
