"""The three scores of motion that the SLRTP 2025 challenge computes, on every second frame, with nothing aligned."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from soke.body.posed import METRES, WHOLE, JointSet, Landmarks
from soke.metrics.joint_sets import Track
from soke.metrics.position_scores import DTWMJE
from soke.metrics.ratios import Ratio, over, wrist_steps
from soke.metrics.signature import Signature
from soke.metrics.track_metric import Pairs, TrackMetric

_EVERY = 2
_LIBRARY = "SLRTP 2025, every 2nd frame"  # in signatures


class SlrtpDTWMJE(DTWMJE):
    """DTW-MJE by fastdtw: `DTWMJE` of every second frame.

    whole, unit, conditions: as there
    """

    def __init__(self, whole: JointSet, *, unit: str = METRES, **conditions: float | str | None) -> None:
        super().__init__(whole, unit=unit, method="fastdtw", name="SLRTP DTW-MJE", library=_LIBRARY, **conditions)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return super()._measure(Pairs(*([_thinned(track) for track in side] for side in (pairs.preds, pairs.refs))))


class SlrtpWristPath(Ratio):
    """Their total distance: how far a wrist goes in a clip, the mean over the predictions over that of the references;
    the mean of the left and of the right wrist's ratio.

    landmarks:  of the body, with wrists, among all of its joints
    whole:      these
    conditions: as of `DTWMJE`
    """

    def __init__(self, landmarks: Landmarks, whole: JointSet, **conditions: float | str | None) -> None:
        _, self._wrists = landmarks["wrists"]
        signature = Signature(
            "SLRTP wrist path", None, "none", f"2of{whole.total}", units=("ratio",), library=_LIBRARY, **conditions
        )
        super().__init__([signature], 4, [WHOLE], {WHOLE: whole})

    def _of_track(self, track: Track) -> np.ndarray:
        return wrist_steps(_thinned(track).points[WHOLE], self._wrists).sum(axis=0)

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        made, given = np.split(sums, 2, axis=-1)
        return over(made, given).mean(axis=-1, keepdims=True)


class SlrtpLength(TrackMetric):
    """Their average duration: the mean over clips of the prediction's frames over the reference's."""

    higher_is_better = None

    def __init__(self, **conditions: float | str | None) -> None:
        super().__init__([Signature("SLRTP length", units=("ratio",), library=_LIBRARY, **conditions)], 1)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [np.array([-(-len(p) // _EVERY) / -(-len(r) // _EVERY)]) for p, r in zip(pairs.preds, pairs.refs)]


def slrtp_scores(
    whole: JointSet, landmarks: Landmarks, unit: str, conditions: Mapping[str, float | str | None]
) -> list[TrackMetric]:
    """Those that a body of these joints allows."""
    found: list[TrackMetric] = [SlrtpDTWMJE(whole, unit=unit, **conditions)]
    if landmarks.get("wrists", ("",))[0] == WHOLE:
        found.append(SlrtpWristPath(landmarks, whole, **conditions))
    return [*found, SlrtpLength(**conditions)]


def _thinned(track: Track) -> Track:
    return Track({WHOLE: track.points[WHOLE][::_EVERY]}, track.fps / _EVERY)
