"""Scores of .pose files against .pose files, whoever wrote them."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout, PartSpec
from soke.body.skeleton import Skeleton
from soke.data.storage.pose_files import SUFFIX, PoseFile, flattened, read_pose
from soke.errors import UserError
from soke.evaluation.predictions import clip_files
from soke.evaluation.scored import Scored, common_rate, reason_of, undefined_note, unpaired
from soke.metrics.joint_sets import track_of
from soke.metrics.keypoint_dtw import KeypointDTW
from soke.metrics.motion_scores import MotionScores

UNIT = "shoulders"


def holds_poses(folder: Path) -> bool:
    return folder.is_dir() and next(folder.rglob(f"*{SUFFIX}"), None) is not None


def score_poses(pred: Path, ref: Path | None, method: str = "exact") -> Scored:
    """Scores a folder of .pose files against another; a clip that cannot be scored stops no other.

    Of the 50 joints those are scored that all files have; a clip of which one was hardly seen is left out. Where one
    file has no depth, none is taken of any.

    method: of the DTW, exact or fastdtw

    Raises UserError as `clip_files` does, without a folder of references, and when the files have no joints in common.
    """
    if ref is None:
        raise UserError(f"{pred} holds {SUFFIX} files; give the folder of their references with --ref")
    preds, refs = (clip_files(folder, (SUFFIX,)) for folder in (pred, ref))
    unscored = unpaired(preds, refs)
    files = _read(preds, refs, unscored)
    deep = all(file.deep for pair in files.values() for file in pair)
    pairs = {name: (made.motion, given.motion) for name, (made, given) in files.items()}
    motions = [motion for pair in pairs.values() for motion in pair]
    if not motions:
        return Scored([], {}, unscored, len(refs))
    every = [{*motion.joints, *motion.lacking} for motion in motions]
    known = set(SKELETON_50).intersection(*every)
    joints = tuple(joint for joint in SKELETON_50 if joint in known)
    try:
        body = Skeleton(joints, UNIT, "-y")
    except ValueError as error:
        raise UserError(f"the files of {pred} and {ref} have too few joints in common: {error}") from None
    for name, pair in list(pairs.items()):
        if lacking := sorted(known & (pair[0].lacking | pair[1].lacking)):
            others = " and others" * (len(lacking) > 1)
            unscored[name] = f"{lacking[0]}{others} was seen in fewer than half of the frames of one side"
            del pairs[name]
    layout = MotionLayout([PartSpec("all", joints, rotation="position")])
    scores = MotionScores.of(body, method, layout=layout.hash)
    # What was not seen has been filled here; `keypoint_scores` knows what it was.
    scores.metrics = [metric for metric in scores.metrics if not isinstance(metric, KeypointDTW)]
    for name, pair in pairs.items():
        tracks = [track_of(body, motion if deep else flattened(motion)) for motion in pair]
        scores.update([name], tracks[:1], tracks[1:])
    unscored |= {name: reason_of(name, reason) for name, reason in scores.unscored.items()}
    clips = scores.per_clip()
    if not clips:
        return Scored([], {}, unscored, len(refs))
    fps, of_rates = common_rate([pairs[name][1].fps for name in clips])
    conditions = {"fps": fps, "inputs": f"pose {'xyz' if deep else 'xy'}"}
    crowded = [name for name in clips if max(file.people for file in files[name]) > 1]
    return Scored(
        [replace(score, signature=replace(score.signature, **conditions)) for score in scores.scores()],
        {name: {"frames": len(pairs[name][0]), **values} for name, values in clips.items()},
        unscored, len(refs),
        [*of_rates, *_several(crowded), *_absent(known, set().union(*every)), *scores.notes(), *undefined_note(scores.undefined())],
    )


def _several(clips: Sequence[str]) -> list[str]:
    """A sentence on clips whose files show more than one person."""
    return [
        f"{len(clips)} clips have a file that shows several people, of whom the first is scored; the first clip, {clips[0]}"
    ] if clips else []


def _absent(known: Collection[str], every: Collection[str]) -> list[str]:
    """A sentence on joints that some files alone have."""
    absent = [joint for joint in SKELETON_50 if joint in every and joint not in known]
    if not absent:
        return []
    others = f" and {len(absent) - 1} others" * (len(absent) > 1)
    return [f"{absent[0]}{others} of the joints are scored of no clip, as some files do not have them"]


def _read(
    preds: Mapping[str, Path], refs: Mapping[str, Path], unscored: dict[str, str]
) -> dict[str, tuple[PoseFile, PoseFile]]:
    """Clip -> prediction and reference, of those that can be read; why others cannot goes into `unscored`."""
    pairs: dict[str, tuple[PoseFile, PoseFile]] = {}
    for name in tqdm([name for name in refs if name in preds], desc="read", unit="clip"):
        try:
            pairs[name] = read_pose(preds[name]), read_pose(refs[name])
        except UserError as error:
            unscored[name] = str(error)
    return pairs
