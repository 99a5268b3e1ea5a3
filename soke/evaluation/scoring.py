"""Scores of the rows of a test, of their motions and of their texts, on one corpus."""

from __future__ import annotations

from typing import Iterator, Mapping, Sequence

from tqdm import tqdm

from soke.body.motion import Motion
from soke.body.posed import METRES, Posed
from soke.errors import UserError
from soke.evaluation.frechet import FrechetScores
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import GROUND_TRUTH, References, Setting
from soke.metrics.joint_sets import Track, thousandth, track_of
from soke.metrics.motion_scores import Diversity, MotionScores
from soke.metrics.text_scores import TextScores
from soke.report.tables import ResultTable
from soke.text.words import level_of

_CLIPS_AT_ONCE = 16  # whose joints and faces, of all rows, are held in memory together; of many rows fewer
_MOTIONS_AT_ONCE = 160


def score_motions(
    references: References, rows: Mapping[str, Sequence[Motion]], conditions: Mapping[str, str], setting: Setting,
    evaluation: Evaluation,
) -> set[str]:
    """Adds the scores of every row to the table and to the clips; returns the clips of this process that have scores.

    All is scored at the corpus's frame rate. A clip that cannot be scored in one row is left out of all. Raises
    UserError when none can be.

    conditions: of the rows' producer
    """
    corpus, fps, names = references.corpus.name, float(references.corpus.fps), [clip.name for clip in references.clips]
    metrics = {row: MotionScores.of(setting.body, setting.metric.dtw, fps=fps, **conditions) for row in rows}
    frechet = None if setting.frechet is None else FrechetScores(
        setting.frechet, setting.body.point_sets, setting.body.unit, body=setting.body.label, **conditions
    )
    truth_diversity, faults = Diversity.of(setting.body, fps=fps, **conditions), {}
    for part in tqdm(list(_parts(references.blocks, len(rows))), desc=f"score {corpus}"):
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
        if frechet is not None:
            kept = {row: [of_row[i] for i in good] for row, of_row in tracks.items()}
            frechet.add(references.places[part.start], chosen, kept, truth)
    evaluation.unscored |= {(corpus, name, row): reason for name, (row, reason) in faults.items()}
    _require_scores(references, faults, setting)
    _say_unit(setting.body.unit, evaluation.table)
    for row, of_row in metrics.items():
        for score in of_row.scores():
            evaluation.table.add(row, corpus, score, references.total)
        per_clip = of_row.per_clip()
        for name, motion in zip(names, rows[row]):
            scores = per_clip.get(name, {})
            evaluation.clips.append({"corpus": corpus, "clip": name, "row": row, "frames": len(motion)} | scores)
        evaluation.table.notes += [f"{corpus}, {row}: {note}" for note in of_row.notes()]
    for column in next(iter(metrics.values())).undefined():  # the references are those of all rows
        evaluation.undefined.setdefault(column, []).append(corpus)
    if frechet is not None:
        _add_frechet(frechet, references, setting, evaluation)
    for score in truth_diversity.scores():
        evaluation.table.add(GROUND_TRUTH, corpus, score, references.total)
    return set(names) - set(faults)


def score_texts(
    references: References, rows: Mapping[str, Sequence[str]], reader: str | None, setting: Setting,
    evaluation: Evaluation,
) -> None:
    """Adds the text scores of every row to the table and to the clips.

    reader: hash of the model that read produced motions; None where the model itself is tested
    """
    corpus, faults = references.corpus.name, {}
    level = level_of(setting.world.gathered([clip.text for clip in references.clips]), setting.metric.level)
    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    for row, texts in rows.items():
        metrics = TextScores(level, reader)
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


def _add_frechet(frechet: FrechetScores, references: References, setting: Setting, evaluation: Evaluation) -> None:
    scores, notes = frechet.scores(setting.world)
    for row, of_row in scores.items():
        for score in of_row:
            evaluation.table.add(row, references.corpus.name, score, references.total)
    if setting.split == "train":
        notes.append("the motion auto-encoder was trained on clips of split train, which it knows better than others")
    evaluation.table.notes += [f"{references.corpus.name}: {note}" for note in notes]


def _parts(blocks: Sequence[slice], rows: int) -> Iterator[slice]:
    """The blocks, each in parts of at most `_CLIPS_AT_ONCE` clips."""
    most = min(_CLIPS_AT_ONCE, max(_MOTIONS_AT_ONCE // rows, 1))
    for block in blocks:
        for start in range(block.start, block.stop, most):
            yield slice(start, min(start + most, block.stop))


def _say_unit(unit: str, table: ResultTable) -> None:
    """Notes, once, that lengths are in no unit that is known."""
    note = (
        f"Lengths are in the corpora's own unit, here called {unit} (a thousandth: {thousandth(unit)}), which may be "
        "any length: these scores compare with none in metres, and with none of corpora of another scale."
    )
    if unit != METRES and note not in table.notes:
        table.notes.append(note)


def _tracks(body: Posed, motions: Sequence[Motion], fps: float) -> list[Track]:
    return [track_of(body, motion.resampled(fps)) for motion in motions]


def _require_scores(references: References, faults: Mapping[str, tuple[str, str]], setting: Setting) -> None:
    """Raises UserError when no clip of the corpus can be scored; faults: clip -> row and reason, of this process."""
    everywhere = setting.world.gathered([(len(references.clips), faults)])
    reasons = {name: why for _, of_process in everywhere for name, why in of_process.items()}
    if len(reasons) == sum(count for count, _ in everywhere):
        row, reason = reasons[min(reasons)]
        raise UserError(f"no clip of {references.corpus.name} can be scored; the first, {row}: {reason}")
