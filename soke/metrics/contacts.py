"""Whether hands touch the face, and each other, when they do in the reference."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from soke.body.posed import Landmarks
from soke.metrics.joint_sets import TRACK_JOINTS, Array, JointSet, Track
from soke.metrics.ratios import OfReferences, over
from soke.metrics.signature import Signature
from soke.metrics.track_metric import Pairs, as_array

NEAR = 0.15  # of the distance between the shoulders: points that are nearer touch [A]
HANDS = ("left_hand", "right_hand")
KINDS = {"hand-face contact": "face", "hand-hand contact": "hand"}


class Contact(OfReferences):
    """Whether what touches in the reference touches in the prediction: a hand the face, or the other hand. It does in a
    frame where any of a hand's points is nearer to any of the other's than `NEAR` times the distance between the
    shoulders, the mean over the clip. Frames are paired by the DTW-JPE path of the body. Units: "kept", percent of the
    pairs with contact in the reference that have it in the prediction, and "F1", which a hand that never leaves the
    face loses: 2 both / (reference + prediction), percent. Over the pairs of all clips, so that long ones weigh more.

    name:       a key of `KINDS`
    landmarks:  of the body, with shoulders, and face for that kind
    joints:     of its point sets, among them body and both hands
    conditions: fps, body, layout and statistics of the signature
    """

    higher_is_better = True

    def __init__(
        self, name: str, landmarks: Landmarks, joints: Mapping[str, JointSet] = TRACK_JOINTS,
        **conditions: float | str | None,
    ) -> None:
        self.name, self.landmarks = name, landmarks
        left, right = (joints[hand].total for hand in HANDS)
        sets, label = ["body", *HANDS, landmarks["shoulders"][0]], f"{left}to{right}"
        if KINDS[name] == "face":
            part, points = landmarks["face"]
            sets, label = [*sets, part], f"{left + right}to{len(points)}"
        signature = Signature(name, None, "root", label, "exact", units=("kept", "F1"), **conditions)
        super().__init__([signature], 3, dict.fromkeys(sets), joints)

    def _measure(self, pairs: Pairs) -> Iterable[np.ndarray]:
        paths = [result.path for result in pairs.warped("body", "root")]
        with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
            preds, refs = (list(pool.map(self._touches, side)) for side in (pairs.preds, pairs.refs))
        for pred, ref, path in zip(preds, refs, paths):
            made, given = pred[path[0]], ref[path[1]]
            yield np.array([(made & given).sum(), given.sum(), made.sum()])

    def _touches(self, track: Track) -> np.ndarray:
        """[T] bool."""
        left, right = (_points(track.points[hand]) for hand in HANDS)
        shoulders = self._landmarks(track, "shoulders")
        near = NEAR * np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1).mean()
        if KINDS[self.name] == "hand":
            return _nearer(left, right, near)
        face = self._landmarks(track, "face")
        return _nearer(left, face, near) | _nearer(right, face, near)

    def _landmarks(self, track: Track, name: str) -> np.ndarray:
        part, numbers = self.landmarks[name]
        return _points(as_array(track.points[part])[:, list(numbers)])

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        both, given, made = sums[..., :1], sums[..., 1:2], sums[..., 2:]
        return 100 * np.concatenate([over(both, given), over(2 * both, np.where(given > 0, given + made, 0))], axis=-1)


def _points(points: Array) -> np.ndarray:
    return np.ascontiguousarray(as_array(points), dtype=np.float64)


@numba.njit(cache=True, nogil=True)
def _nearer(one: np.ndarray, other: np.ndarray, near: float) -> np.ndarray:
    """[T] whether any of the points [T, N, 3] is nearer than that to any of [T, M, 3]."""
    found = np.zeros(one.shape[0], dtype=np.bool_)
    for t in range(one.shape[0]):
        for i in range(one.shape[1]):
            for j in range(other.shape[1]):
                squared = 0.0
                for axis in range(3):
                    squared += (one[t, i, axis] - other[t, j, axis]) ** 2
                if squared < near * near:
                    found[t] = True
                    break
            if found[t]:
                break
    return found


def contacts_of(landmarks: Landmarks, parts: Iterable[str]) -> list[str]:
    """The kinds of contact that a body with these can have."""
    if not {"body", *HANDS} <= set(parts) or "shoulders" not in landmarks:
        return []
    return [name for name, other in KINDS.items() if other == "hand" or other in landmarks]
