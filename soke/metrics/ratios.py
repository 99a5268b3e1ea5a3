"""What produced motion does in relation to its references, by which freezing, over-smoothing and trembling show."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from soke.body.posed import Landmarks
from soke.metrics.clips import Score
from soke.metrics.joint_sets import TRACK_JOINTS, Array, JointSet, Track
from soke.metrics.signature import Signature
from soke.metrics.track_metric import Pairs, TrackMetric, as_array, columns_of, label_of, matrix_of

UNDEFINED = "undefined, for no reference has any: "
_ROUNDING = 10 * np.finfo(np.float32).eps  # of positions, in relation to the farthest: less is no movement [A]


class OfReferences(TrackMetric):
    """Base of scores that divide by what the references do. A column is left out where no reference does it, and a
    clip, which counts all the same, has no score of its own where its reference does not."""

    def scores(self) -> list[Score]:
        """Of the columns that are defined, over all processes. Raises ValueError when no clip was scored."""
        return [score for score in super().scores() if all(map(math.isfinite, score.values.values()))]

    def undefined(self) -> list[str]:
        """The columns that are not, over all processes."""
        with self.sync_context():
            statistics = self._all()
        values = iter(np.isfinite(self._aggregate(statistics, np.ones((1, len(statistics))))[0]).tolist())
        defined = {s: all([next(values) for _ in s.units]) for s in self.signatures}
        return [s.column() for s, finite in defined.items() if not finite]


class Ratio(OfReferences):
    """Base of ratios: the mean over the predictions of what `_of_track` measures of each, over that of the references.

    1 is right, so there is no better end. Statistics are U measures of the prediction, then U of the reference.
    """

    higher_is_better = None

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        made, given = (np.array([self._of_track(track) for track in side]) for side in (pairs.preds, pairs.refs))
        return np.concatenate([made, given], axis=1)

    def _of_track(self, track: Track) -> np.ndarray:
        """[U], 0 where there is nothing but rounding."""
        raise NotImplementedError

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        made, given = np.split(sums, 2, axis=-1)
        return over(made, given)


class MotionRatio(Ratio):
    """Mean speed, temporal standard deviation or jitter of the scored joints relative to the part's root (pelvis,
    wrist), of the predictions over that of the references: means over joints and frames, then over clips. Columns:
    body, hand.

    speed:       distance between frames; Speed/GT of Masked-NAR
    temporal SD: root of the summed variances of x, y and z over a clip's frames
    jitter:      third differences in time, the mean size of the jerk

    what:       one of these
    parts:      point sets of the tracks, by default all that have joints
    joints:     of the parts
    conditions: fps, body, layout and statistics of the signature
    """

    _ORDERS = {"speed": 1, "jitter": 3}

    def __init__(
        self, what: str, *, parts: Sequence[str] | None = None, joints: Mapping[str, JointSet] = TRACK_JOINTS,
        **conditions: float | str | None,
    ) -> None:
        self.what = what
        columns = {column: w for column, w in columns_of(parts, joints).items() if column in ("body", "hand")}
        parts = [part for part in joints if any(part in weights for weights in columns.values())]
        self._weights = matrix_of(columns, parts)
        signatures = [
            Signature(what, column, "root", label_of(weights, joints), units=("ratio",), **conditions)
            for column, weights in columns.items()
        ]
        super().__init__(signatures, 2 * len(columns), parts, joints)

    def _of_track(self, track: Track) -> np.ndarray:
        return self._weights @ [self._of_part(as_array(track.points[part]), part) for part in self.parts]

    def _of_part(self, points: np.ndarray, part: str) -> float:
        moved = (points[:, list(self.joints[part].scored)] - points[:, :1]).astype(np.float64)
        if self.what == "temporal SD":
            sizes, order = np.sqrt(moved.var(axis=0).sum(axis=-1)), 0
        else:
            order = self._ORDERS[self.what]
            sizes = np.linalg.norm(np.diff(moved, order, axis=0), axis=-1)
        return _mean_above(sizes, 2**order * rounding_of(points))


class WristPath(Ratio):
    """How far the wrists go in a clip, mean of left and right, nothing aligned: the mean over the predictions over that
    of the references (SLRTP 2025's total distance, on all frames).

    landmarks:  of the body, with wrists
    joints:     of its point sets
    conditions: as of `MotionRatio`
    """

    def __init__(
        self, landmarks: Landmarks, joints: Mapping[str, JointSet] = TRACK_JOINTS, **conditions: float | str | None
    ) -> None:
        part, self._wrists = landmarks["wrists"]
        label = f"2of{joints[part].total}"
        signature = Signature("wrist path", None, "none", label, units=("ratio",), **conditions)
        super().__init__([signature], 2, [part], joints)

    def _of_track(self, track: Track) -> np.ndarray:
        return np.array([wrist_steps(track.points[self.parts[0]], self._wrists).sum(axis=0).mean()])


class MouthOpening(Ratio):
    """Distance of the lips' inner edges, of the predictions over that of the references. Units: "ratio", of the means
    over frames and clips, and "SD ratio", of the standard deviations over a clip's frames, means over clips: a mouth
    that is never moved may well have the first, and has 0 as the second.

    landmarks, joints, conditions: as of `WristPath`, with lips
    """

    def __init__(
        self, landmarks: Landmarks, joints: Mapping[str, JointSet] = TRACK_JOINTS, **conditions: float | str | None
    ) -> None:
        part, self._lips = landmarks["lips"]
        units, label = ("ratio", "SD ratio"), f"2of{joints[part].total}"
        super().__init__([Signature("mouth opening", None, "none", label, units=units, **conditions)], 4, [part], joints)

    def _of_track(self, track: Track) -> np.ndarray:
        upper, lower = as_array(track.points[self.parts[0]])[:, list(self._lips)].astype(np.float64).swapaxes(0, 1)
        opening = np.linalg.norm(upper - lower, axis=-1)  # [T]
        least = rounding_of(upper)
        return np.array([_mean_above(opening, least), _mean_above(opening.std(keepdims=True), least)])


def wrist_steps(points: Array, wrists: Sequence[int]) -> np.ndarray:
    """[T - 1, W] how far each wrist goes between frames of points [T, N, 3], nothing where that is rounding alone."""
    places = as_array(points)[:, list(wrists)].astype(np.float64)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    return steps if _mean_above(steps, 2 * rounding_of(places)) else np.zeros_like(steps)


def over(made: np.ndarray, given: np.ndarray) -> np.ndarray:
    """made / given, NaN where nothing is given."""
    return np.divide(made, given, out=np.full_like(made, np.nan), where=given > 0)


def rounding_of(points: Array) -> float:
    """What differences of positions [..., 3] may owe to single precision."""
    return _ROUNDING * float(np.abs(points).max(initial=0))


def _mean_above(sizes: np.ndarray, least: float) -> float:
    """The mean, 0 where it is at most `least`, or of nothing."""
    mean = float(sizes.mean()) if sizes.size else 0.0
    return mean if mean > least else 0.0
