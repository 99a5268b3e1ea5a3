"""Scores of the hands in .pose files as pose-evaluation has them: of what was seen, and what was not."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from soke.body.skeleton import UNKNOWN_UNIT
from soke.data.storage.pose_files import SUFFIX, PoseHands, read_hands
from soke.errors import UserError
from soke.evaluation.predictions import clip_files
from soke.evaluation.scored import Scored, common_rate, unpaired
from soke.metrics.clips import Scorecard
from soke.metrics.keypoint_dtw import DTWP, NDTWP, UNTRIMMED, SeenDTW, by_shoulders


def score_hands(pred: Path, ref: Path) -> Scored:
    """nDTWp and DTWp, trimmed and not, of a folder of .pose files against another; a clip that cannot be scored stops no
    other. Keypoints are those of both hands that all files have; where one file has no depth, none is taken of any.

    Raises UserError as `clip_files` does, and when the files have no keypoints in common.
    """
    preds, refs = (clip_files(folder, (SUFFIX,)) for folder in (pred, ref))
    total = len(refs)
    unscored, pairs = unpaired(preds, refs), {}
    for name in tqdm([name for name in refs if name in preds], desc="read hands", unit="clip"):
        try:
            pairs[name] = _checked(read_hands(preds[name]), read_hands(refs[name]))
        except (UserError, ValueError) as error:
            unscored[name] = str(error)
    if not pairs:
        return Scored([], {}, unscored, total)
    sides = [hands for pair in pairs.values() for hands in pair]
    known = set.intersection(*(set(hands.names) for hands in sides))
    names = [name for name in sides[0].names if name in known]
    if not names:
        raise UserError(f"the files of {pred} and {ref} have no keypoints of hands in common")
    dimensions = min(hands.points.shape[2] for hands in sides)
    made, given = ([_reduced(pair[side], names, dimensions) for pair in pairs.values()] for side in (0, 1))
    fps, notes = common_rate([hands.fps for hands in given])
    conditions = {"fps": fps, "inputs": f"pose {'xyz'[:dimensions]}"}
    scores = Scorecard([
        SeenDTW(variant, len(names), UNKNOWN_UNIT, **conditions) for variant in (NDTWP, DTWP, UNTRIMMED)
    ])
    for metric in scores.metrics:
        metric.update(list(pairs), made, given)
    clips = {name: dict(values) for name, values in scores.per_clip().items()}
    unseen = sum(not (p.seen.any() and r.seen.any()) for p, r in zip(made, given))
    notes += [
        f"{unseen} clips show no hand on one side: DTWp gives them its default distance {DTWP.default:.1f}, the best"
    ] * bool(unseen)
    return Scored(scores.scores(), clips, unscored, total, notes)


def _checked(pred: PoseHands, ref: PoseHands) -> tuple[PoseHands, PoseHands]:
    """Raises ValueError for a pair that cannot be compared."""
    if abs(pred.fps - ref.fps) > 1e-3 * ref.fps:
        raise ValueError(f"it has {pred.fps:g} frames/s, the reference {ref.fps:g}; resample one to the other's rate")
    for role, hands in (("prediction", pred), ("reference", ref)):
        try:
            by_shoulders(hands.points, hands.shoulders)
        except ValueError as error:
            raise ValueError(f"of the {role}, {error}") from None
    return pred, ref


def _reduced(hands: PoseHands, names: list[str], dimensions: int) -> PoseHands:
    columns = [hands.names.index(name) for name in names]
    return replace(
        hands, points=hands.points[:, columns, :dimensions], seen=hands.seen[:, columns], names=tuple(names),
        shoulders=hands.shoulders[..., :dimensions],
    )
