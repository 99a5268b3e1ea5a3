"""What scores of tracks have in common: pairs of clips, their warping, and what makes a pair impossible to score."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from soke.body.posed import WHOLE
from soke.metrics.clips import ClipMetric
from soke.metrics.dtw import DtwResult, dtw_jpe_pairs, dtw_of_frames_pairs
from soke.metrics.dtw_torch import dtw_jpe_batch
from soke.metrics.joint_sets import TRACK_JOINTS, Array, JointSet, Track, weights_of
from soke.metrics.signature import Signature

_FPS_TOLERANCE = 1e-3


class Pairs:
    """Predictions and references, N tracks each; what several scores need of them is found once.

    joints: of their point sets; the face has none
    """

    def __init__(
        self, preds: Sequence[Track], refs: Sequence[Track], joints: Mapping[str, JointSet] = TRACK_JOINTS
    ) -> None:
        self.preds, self.refs, self.joints = preds, refs, joints
        self._warped: dict[tuple[str, str, str], list[DtwResult]] = {}

    def warped(self, part: str, align: str, method: str = "exact") -> list[DtwResult]:
        """DTW over the scored points of a part, on the GPU where the tracks are there; see soke.metrics.dtw."""
        key = (part, align, method)
        if key not in self._warped:
            preds, refs = ([track.points[part] for track in side] for side in (self.preds, self.refs))
            scored = self.joints[part].scored if part in self.joints else range(1, preds[0].shape[1])
            if method == "exact" and isinstance(preds[0], torch.Tensor) and preds[0].is_cuda:
                self._warped[key] = dtw_jpe_batch(preds, refs, align, scored)
            else:
                preds, refs = ([as_array(track) for track in side] for side in (preds, refs))
                self._warped[key] = dtw_jpe_pairs(preds, refs, align, scored, method=method)
        return self._warped[key]

    def warped_whole(self, cost: str, method: str = "exact") -> list[DtwResult]:
        """DTW over all joints as they are, on the CPU; see soke.metrics.dtw.dtw_of_frames."""
        preds, refs = ([as_array(track.points[WHOLE]) for track in side] for side in (self.preds, self.refs))
        return dtw_of_frames_pairs(preds, refs, cost, method=method)


class TrackMetric(ClipMetric):
    """Base of metrics that compare tracks: subclasses say what one pair adds.

    signatures, size: see ClipMetric
    parts:            point sets of the tracks that must be there
    joints:           of the point sets; the face has none
    """

    def __init__(
        self, signatures: Sequence[Signature], size: int, parts: Iterable[str] = (),
        joints: Mapping[str, JointSet] = TRACK_JOINTS,
    ) -> None:
        super().__init__(signatures, size)
        self.parts, self.joints = tuple(parts), joints

    def update(self, name: str, pred: Track, ref: Track) -> None:
        """Scores one clip. Raises ValueError that names it where `check_tracks` does."""
        self.update_many([name], [pred], [ref])

    def update_many(self, names: Sequence[str], preds: Sequence[Track], refs: Sequence[Track]) -> None:
        """Scores clips together, on all cores of the CPU or on the tracks' GPU. Raises as `update`, before any."""
        for name, pred, ref in zip(names, preds, refs, strict=True):
            check_tracks(name, pred, ref, self.parts, self.joints)
        if names:
            self.add_checked(names, Pairs(preds, refs, self.joints))

    def add_checked(self, names: Sequence[str], pairs: Pairs) -> None:
        """Scores at least one clip, of which `check_tracks` has found nothing to say."""
        for name, statistics in zip(names, self._measure(pairs), strict=True):
            self._add(name, statistics)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        """[size] of every pair."""
        raise NotImplementedError


def check_tracks(
    name: str, pred: Track, ref: Track, parts: Iterable[str], joints: Mapping[str, JointSet] = TRACK_JOINTS
) -> None:
    """Raises ValueError that names the clip when `parts` of it cannot be compared: absent, no frames, NaN, other joints
    or another frame rate."""
    where = f"clip {name} cannot be scored:"
    if abs(pred.fps - ref.fps) > _FPS_TOLERANCE * ref.fps:
        raise ValueError(
            f"{where} it has {pred.fps:g} frames/s, the reference {ref.fps:g}; resample one to the other's rate"
        )
    for part in parts:
        for role, track in (("prediction", pred), ("reference", ref)):
            points = track.points.get(part)
            if points is None:
                raise ValueError(f"{where} the {role} has no {part.replace('_', ' ')}")
            if points.ndim != 3 or points.shape[2] != 3:
                raise ValueError(f"{where} the {role} has shape {list(points.shape)}, it must be [T, J, 3]")
            expected = joints[part].total if part in joints else ref.points[part].shape[1]
            if points.shape[1] != expected:
                noun = "joints" if part in joints else "points"
                raise ValueError(
                    f"{where} the {role} has {points.shape[1]} {noun}, a {part.replace('_', ' ')} has {expected}"
                )
            if len(points) == 0:
                raise ValueError(f"{where} the {role} has no frames")
            finite = torch.isfinite(points) if isinstance(points, torch.Tensor) else np.isfinite(points)
            if not finite.all():
                frame = int((~finite.all(-1).all(-1)).nonzero()[0][0])
                raise ValueError(f"{where} the {role} holds NaN or infinite positions, first in frame {frame}")


def present_parts(parts: Iterable[str] | None, joints: Mapping[str, JointSet]) -> list[str]:
    """The parts that have joints, of `parts` or all, in their order."""
    return [part for part in joints if parts is None or part in parts]


def as_array(track: Array) -> np.ndarray:
    """On the CPU."""
    return track.detach().cpu().numpy() if isinstance(track, torch.Tensor) else np.asarray(track)


def columns_of(parts: Iterable[str] | None, joints: Mapping[str, JointSet]) -> Mapping[str, dict[str, float]]:
    """Column -> weight of each part in it, of the columns whose parts are all there."""
    weights = weights_of(joints)
    columns = {
        **{part.replace("_", " "): {part: 1.0} for part in joints},
        "hand": {"left_hand": 0.5, "right_hand": 0.5},
        "avg": {part: weight / sum(weights.values()) for part, weight in weights.items()},
    }
    there = set(present_parts(parts, joints))
    return {column: of_parts for column, of_parts in columns.items() if set(of_parts) <= there}


def matrix_of(columns: Mapping[str, dict[str, float]], parts: Sequence[str]) -> np.ndarray:
    """[C, P] weights."""
    return np.array([[weights.get(part, 0.0) for part in parts] for weights in columns.values()])


def label_of(parts: Iterable[str], joints: Mapping[str, JointSet]) -> str:
    return "+".join(dict.fromkeys(joints[part].label for part in parts))
