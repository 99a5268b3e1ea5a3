"""Scores of joint positions as the field computes them, over all joints where they are: nothing is aligned."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from soke.body.posed import METRES, WHOLE, JointSet
from soke.metrics.signature import Signature
from soke.metrics.track_metric import Pairs, TrackMetric, as_array


class PTDTW(TrackMetric):
    """Mean over clips of DTW as Progressive Transformers define it (Saunders et al. 2020, evaluation): a pair of frames
    costs the sum of the absolute differences of all coordinates, and the path's cost is divided by the reference's
    frames. Whole clips are compared.

    Its released code leaves out each sequence's frame of the largest counter and all after it, and the first generated
    frame, which it had been given. What is scored here has no counter left.

    whole:      the joints
    unit:       of the tracks
    conditions: fps, body, layout and statistics of the signature
    """

    def __init__(self, whole: JointSet, *, unit: str = METRES, **conditions: float | str | None) -> None:
        signature = Signature("PT-DTW", None, "none", whole.label, "exact", units=(unit,), **conditions)
        super().__init__([signature], 1, [WHOLE], {WHOLE: whole})

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        results = pairs.warped_whole("l1")
        return [np.array([result.cost / len(ref)]) for result, ref in zip(results, pairs.refs)]


class DTWMJE(TrackMetric):
    """Mean joint error along the DTW path (SLRTP 2025): frames are paired by the cheapest path, a pair of them costing
    the Euclidean distance of all coordinates; then the mean distance of the joints over the pairs of all clips, so that
    long clips weigh more.

    method: of the DTW, "exact" or "fastdtw", which SLRTP takes; whole, unit and conditions as of PTDTW
    name:   in tables
    """

    def __init__(
        self, whole: JointSet, *, unit: str = METRES, method: str = "exact", name: str = "DTW-MJE",
        **conditions: float | str | None,
    ) -> None:
        signature = Signature(name, None, "none", whole.label, method, units=(unit,), **conditions)
        super().__init__([signature], 2, [WHOLE], {WHOLE: whole})
        self.method = method

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        return [
            np.array([self._errors(pred.points[WHOLE], ref.points[WHOLE], result.path).sum(), result.path_length])
            for pred, ref, result in zip(pairs.preds, pairs.refs, pairs.warped_whole("euclidean", self.method))
        ]

    @staticmethod
    def _errors(pred: np.ndarray, ref: np.ndarray, path: np.ndarray) -> np.ndarray:
        """[L] mean distance of the joints of each pair of frames."""
        pred, ref = (as_array(track).astype(np.float64) for track in (pred, ref))
        return np.linalg.norm(pred[path[0]] - ref[path[1]], axis=-1).mean(axis=-1)

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        return sums[..., :1] / sums[..., 1:]
