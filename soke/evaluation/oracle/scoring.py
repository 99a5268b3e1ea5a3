"""The error rate of the signs that an oracle reads from the rows of a test."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from soke.body.motion import JointMotion, Motion
from soke.evaluation.oracle.reader import Oracle, SignErrorRate
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import References
from soke.metrics.clips import Scorecard
from soke.run.processes import World


def score_signs(
    references: References, rows: Mapping[str, Sequence[Motion | JointMotion]], oracle: Oracle, evaluation: Evaluation,
    world: World,
) -> None:
    """Adds the sign error rate of every row to the table and to the clips, where the oracle knows the clip."""
    corpus = references.corpus.name
    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    unknown = {clip.name for clip in references.clips if oracle.signed(clip.name) is None}
    evaluation.unscored |= {(corpus, name, "signs"): "the oracle does not know what it shows" for name in unknown}
    if not any(world.gathered([clip.name not in unknown for clip in references.clips])):
        return
    for row, motions in rows.items():
        metric = SignErrorRate(oracle.hash)
        for clip, motion in zip(references.clips, motions):
            if clip.name not in unknown:
                metric.update_tokens(clip.name, *oracle.compared(motion, clip.name))
        scores = Scorecard([metric])
        for score in scores.scores():
            evaluation.table.add(row, corpus, score, references.total)
        for name, values in scores.per_clip().items():
            if (row, name) not in entries:
                entries[row, name] = {"corpus": corpus, "clip": name, "row": row}
                evaluation.clips.append(entries[row, name])
            entries[row, name] |= values
