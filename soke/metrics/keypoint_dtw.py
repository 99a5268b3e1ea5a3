"""DTW of single keypoints of the hands, as pose-evaluation defines DTWp and nDTWp (Jiang et al., WMT 2025)."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numba
import numpy as np

from soke.body.posed import METRES, Landmarks
from soke.metrics.clips import ClipMetric
from soke.metrics.joint_sets import TRACK_JOINTS, JointSet, Track
from soke.metrics.signature import Signature
from soke.metrics.track_metric import Pairs, TrackMetric, as_array

SHOULDERS = "shoulders"  # unit of what is normalised by them
HANDS = ("left_hand", "right_hand")


@dataclass(frozen=True)
class Variant:
    """One of their metrics.

    name:       as it stands in tables
    normalised: positions are relative to the middle of the shoulders, the mean over the clip, in their mean distance
    trimmed:    frames before the first and after the last one in which a point of a hand was seen are left out
    fill:       value of all coordinates of a point that was not seen
    default:    distance of a clip of which one side has no frames left
    """

    name: str
    normalised: bool
    trimmed: bool
    fill: float
    default: float

    @property
    def label(self) -> str:
        """Their name of it, for signatures; with the rule by which ours is trimmed, for theirs is their dependency's."""
        trimmed = "startendtrimmed(no-hand)" if self.trimmed else "untrimmed"
        normalised = "normalizedbyshoulders" if self.normalised else "unnormalized"
        return (
            f"pose-evaluation {trimmed}_{normalised}_hands_defaultdist{self.default:.1f}_nointerp_dtw_"
            f"fillmasked{self.fill:.1f}"
        )

    def signature(self, points: int, unit: str, **conditions: float | str | None) -> Signature:
        alignment, units = (SHOULDERS, (SHOULDERS,)) if self.normalised else ("none", (unit,))
        label = f"{points}of{points}"
        return Signature(self.name, "hand", alignment, label, "exact", units=units, library=self.label, **conditions)


NDTWP = Variant("nDTWp", True, False, 1.0, 1.0)
DTWP = Variant("DTWp", False, True, 10.0, 0.0)
UNTRIMMED = Variant("DTWp untrimmed", False, False, 10.0, 0.0)


class Seen(Protocol):
    """Keypoints as somebody saw them: points [T, K, D], anything where one was not seen; seen [T, K]; shoulders
    [T', 2, D] in the frames in which both were seen."""

    points: np.ndarray
    seen: np.ndarray
    shoulders: np.ndarray


class KeypointDTW(TrackMetric):
    """Mean over clips of the mean over the keypoints of both hands of `keypoint_dtw`. It is no mean cost: it grows with
    the square root of a clip's length. Of tracks no point is ever lost, so that nothing is trimmed, and filled alone where
    shoulders in one place make all points invalid.

    variant:    `NDTWP` or `DTWP`
    landmarks:  of the body, with shoulders
    joints:     of its point sets, with both hands
    unit:       of the tracks
    conditions: fps, body, layout and statistics of the signature
    """

    def __init__(
        self, variant: Variant, landmarks: Landmarks, joints: Mapping[str, JointSet] = TRACK_JOINTS,
        *, unit: str = METRES, **conditions: float | str | None,
    ) -> None:
        self.variant, self.landmarks = variant, landmarks
        points = sum(joints[hand].total for hand in HANDS)
        super().__init__(
            [variant.signature(points, unit, **conditions)], 1,
            dict.fromkeys((*HANDS, landmarks["shoulders"][0])), joints,
        )

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        preds, refs = ([self._hands(track) for track in side] for side in (pairs.preds, pairs.refs))
        return [np.array([distances.mean()]) for distances in keypoint_dtw_pairs(preds, refs)]

    def _hands(self, track: Track) -> np.ndarray:
        """[T, K, 3]."""
        hands = np.concatenate([as_array(track.points[hand]) for hand in HANDS], axis=1).astype(np.float64)
        if not self.variant.normalised:
            return hands
        part, shoulders = self.landmarks["shoulders"]
        try:
            return by_shoulders(hands, as_array(track.points[part])[:, list(shoulders)].astype(np.float64))
        except ValueError:
            return np.full_like(hands, self.variant.fill)


class SeenDTW(ClipMetric):
    """As `KeypointDTW`, of points of which some were not seen.

    variant:    which one
    points:     number of keypoints K
    unit:       of the positions
    conditions: fps and inputs of the signature
    """

    def __init__(self, variant: Variant, points: int, unit: str, **conditions: float | str | None) -> None:
        super().__init__([variant.signature(points, unit, **conditions)], 1)
        self.variant = variant

    def update(self, names: Sequence[str], preds: Sequence[Seen], refs: Sequence[Seen]) -> None:
        """Scores clips. Raises ValueError as `by_shoulders`, before any."""
        sides = [[self._prepared(of) for of in side] for side in (preds, refs)]
        alone = [not (len(pred) and len(ref)) for pred, ref in zip(*sides)]
        found = iter(keypoint_dtw_pairs(*([p for p, out in zip(side, alone) if not out] for side in sides)))
        for name, out in zip(names, alone, strict=True):
            self._add(name, np.array([self.variant.default if out else next(found).mean()]))

    def _prepared(self, of: Seen) -> np.ndarray:
        points = of.points.astype(np.float64)
        if self.variant.normalised:
            points = by_shoulders(points, of.shoulders.astype(np.float64))
        points = np.where(of.seen[..., None], points, self.variant.fill)
        frames = np.flatnonzero(of.seen.any(axis=1))
        if not self.variant.trimmed:
            return points
        return points[frames[0] : frames[-1] + 1] if len(frames) else points[:0]


def by_shoulders(points: np.ndarray, shoulders: np.ndarray) -> np.ndarray:
    """Points [T, K, D] relative to the middle of the shoulders [T', 2, D], in their distance, both means over the frames
    in which they were seen. Raises ValueError for shoulders that nobody saw, or in one place."""
    width = float(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1).mean()) if len(shoulders) else 0.0
    if not width > 0:
        raise ValueError("the shoulders were not seen, or are in one place, and nDTWp is measured by their distance")
    return (points - shoulders.mean(axis=(0, 1))) / width


def keypoint_dtw_pairs(preds: Sequence[np.ndarray], refs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """keypoint_dtw of many pairs, on all cores."""
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        return list(pool.map(keypoint_dtw, preds, refs))


def keypoint_dtw(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """Distance of each keypoint's way to the reference's, each by a path of its own: the root of the summed squared
    distances along the cheapest one (steps (1, 1), (1, 0), (0, 1), no window), as dtaidistance has it.

    pred: [T1, K, D] positions
    ref:  [T2, K, D] positions

    Returns [K]. Raises ValueError for no frames, and for different keypoints or dimensions.
    """
    if not len(pred) or not len(ref) or pred.shape[1:] != ref.shape[1:]:
        raise ValueError(f"keypoints cannot be compared: {list(pred.shape)} and {list(ref.shape)}")
    ways = (np.ascontiguousarray(np.moveaxis(side, 1, 2), dtype=np.float64) for side in (pred, ref))
    return _squared_paths(*ways) ** 0.5


@numba.njit(cache=True, nogil=True)
def _squared_paths(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """Accumulated squared distances [K] of pred [T1, D, K] and ref [T2, D, K], all keypoints side by side."""
    frames, dimensions, points = ref.shape
    above, row = np.full((frames + 1, points), np.inf), np.full((frames + 1, points), np.inf)
    above[0] = 0.0
    for i in range(pred.shape[0]):
        row[0] = np.inf
        for j in range(frames):
            best, left, up, diagonal = row[j + 1], row[j], above[j + 1], above[j]
            for k in range(points):
                best[k] = min(min(left[k], up[k]), diagonal[k])
            for d in range(dimensions):
                of_pred, of_ref = pred[i, d], ref[j, d]
                for k in range(points):
                    best[k] += (of_pred[k] - of_ref[k]) * (of_pred[k] - of_ref[k])
        above, row = row, above
    return above[frames]
