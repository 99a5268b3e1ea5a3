"""Scores of files of the SLRTP 2025 challenge, whoever wrote them."""
from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from soke.body.layout import MotionLayout, PartSpec
from soke.body.skeleton import UNKNOWN_UNIT, Skeleton
from soke.data.corpora.slrtp import FPS, JOINTS, SUFFIX, SlrtpCorpus, read_slrtp
from soke.errors import UserError
from soke.evaluation.scored import Scored, doubt_notes, reason_of, undefined_note, unpaired
from soke.metrics.joint_sets import track_of
from soke.metrics.motion_scores import MotionScores
from soke.metrics.plausible import doubt_of_scale

_BATCH = 32  # pairs that are scored together


def score_slrtp(pred: Path, ref: Path | None, method: str = "exact") -> Scored:
    """Scores a file of predictions against one of references: the challenge's own scores, and all that its 178 joints
    allow. A clip that cannot be scored stops no other.

    method: of the DTW of the others, exact or fastdtw

    Raises UserError as `read_slrtp` does, and without a file of references.
    """
    if ref is None or ref.suffix != SUFFIX:
        raise UserError(f"{pred} is a file of SLRTP's; give the file of its references, which ends in {SUFFIX}, with --ref")
    (preds, faults), (refs, lost) = (read_slrtp(file) for file in (pred, ref))
    unscored = unpaired({**preds, **faults}, {**refs, **lost})
    for side, found in (("prediction", faults), ("reference", lost)):
        unscored |= {key: f"of the {side}, {why}" for key, why in found.items() if key not in unscored}
    body = Skeleton(JOINTS, UNKNOWN_UNIT, SlrtpCorpus.up)
    layout = MotionLayout([PartSpec("all", JOINTS, rotation="position")])
    scores = MotionScores.of(body, method, fps=FPS, layout=layout.hash, inputs="slrtp")
    names, doubts = [key for key in refs if key in preds], []
    for start in tqdm(range(0, len(names), _BATCH), desc="score"):
        chosen = names[start : start + _BATCH]
        scores.update(chosen, *([track_of(body, side[key].motion) for key in chosen] for side in (preds, refs)))
        pairs = ((key, doubt_of_scale(preds[key].positions, refs[key].positions)) for key in chosen)
        doubts += [f"{key}: {doubt}" for key, doubt in pairs if doubt]
    unscored |= {key: reason_of(key, reason) for key, reason in scores.unscored.items()}
    clips, total = scores.per_clip(), len(refs) + len(lost)
    notes = doubt_notes({"scale": doubts} if doubts else {})
    if not clips:
        return Scored([], {}, unscored, total, notes)
    facts = {key: {"frames": len(preds[key].positions), **values} for key, values in clips.items()}
    return Scored(scores.scores(), facts, unscored, total, [*notes, *scores.notes(), *undefined_note(scores.undefined())])
