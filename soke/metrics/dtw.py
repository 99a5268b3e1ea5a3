"""Dynamic time warping of joint tracks: DTW-JPE and DTW-PA-JPE.

Definition as in SOKE's evaluation: the cost of a pair of frames is the mean distance of the scored joints after the
predicted frame has been aligned to the reference frame; the score is the cost accumulated along the cheapest warping
path, in metres.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numba
import numpy as np

from soke.errors import UserError
from soke.metrics.dtw_kernels import costs_of_frames, exact_dtw, exact_dtw_of_frames, frame_costs

ALIGNMENTS = ("root", "procrustes")
METHODS = ("exact", "fastdtw")
COSTS = ("l1", "euclidean")
FASTDTW_RADIUS = 1


@dataclass(frozen=True)
class DtwResult:
    """A warping path and what it cost.

    cost: accumulated cost in metres, the published score
    path: [2, L] frame indices (prediction, reference) from (0, 0) to (T1 - 1, T2 - 1)
    """

    cost: float
    path: np.ndarray

    @property
    def path_length(self) -> int:
        """Number L of frame pairs on the path."""
        return self.path.shape[1]

    @property
    def mean_mm(self) -> float:
        """Mean cost of a frame pair on the path, in millimetres: comparable between clips of different lengths."""
        return 1000.0 * self.cost / self.path_length


def dtw_jpe(
    pred: np.ndarray,
    ref: np.ndarray,
    align: str,
    joints: Sequence[int] | np.ndarray | None = None,
    *,
    method: str = "exact",
) -> DtwResult:
    """DTW joint position error of a predicted track against a reference (SOKE, evaluation metrics).

    pred:   [T1, J, 3] joint positions in metres
    ref:    [T2, J, 3] joint positions in metres
    align:  "root" moves joint 0 onto joint 0 (DTW-JPE); "procrustes" fits a similarity, scale included, over all J
            joints (DTW-PA-JPE)
    joints: indices of the joints scored; all when None. They do not change the alignment.
    method: "exact", or "fastdtw" for the approximation of the package of that name (radius 1), whose cost is an upper
            bound of the exact one

    Returns the cheapest path; among equally cheap ones that with the most diagonal steps near its end.

    Raises ValueError for wrong shapes, no frames, no or unknown joints, NaN or infinite positions, unknown `align` or
    `method`; UserError when `method` is "fastdtw" and the package is not installed.
    """
    _check_choices(align, method)
    pred, ref = _checked_track(pred, "prediction"), _checked_track(ref, "reference")
    joints = checked_joints(joints, common_joints(pred.shape, ref.shape))
    if method == "fastdtw":
        def frame_cost(pred_frame: np.ndarray, ref_frame: np.ndarray) -> float:
            frames = pred_frame.reshape(1, -1, 3), ref_frame.reshape(1, -1, 3)
            return frame_costs(*frames, align == "procrustes", joints)[0, 0]

        return _fastdtw(pred.reshape(len(pred), -1), ref.reshape(len(ref), -1), frame_cost)
    accumulated, path = exact_dtw(pred, ref, align == "procrustes", joints)
    return DtwResult(float(accumulated), path)


def dtw_jpe_pairs(
    preds: Sequence[np.ndarray],
    refs: Sequence[np.ndarray],
    align: str,
    joints: Sequence[int] | np.ndarray | None = None,
    *,
    method: str = "exact",
) -> list[DtwResult]:
    """dtw_jpe of many pairs of tracks on all cores, or as many as NUMBA_NUM_THREADS says, longest pairs first.

    preds:  N tracks [T1, J, 3] in metres, T1 their own
    refs:   N tracks [T2, J, 3] in metres, T2 their own
    align:  as for dtw_jpe, and so are the following
    joints: indices of the joints scored
    method: "exact" or "fastdtw"; only the exact one gains from several cores

    Returns N results, the very numbers of dtw_jpe.

    Raises ValueError and UserError as dtw_jpe, with the position of the pair, and ValueError when predictions and
    references are not equally many.
    """
    _check_choices(align, method)
    check_pairing(preds, refs)
    return _of_pairs(lambda pred, ref: dtw_jpe(pred, ref, align, joints, method=method), preds, refs)


def dtw_of_frames(pred: np.ndarray, ref: np.ndarray, cost: str, *, method: str = "exact") -> DtwResult:
    """DTW of frames as they are: nothing is aligned, all joints count.

    pred:   [T1, J, 3] joint positions
    ref:    [T2, J, 3] joint positions
    cost:   of a pair of frames: "l1", the sum of the absolute differences of all coordinates (Progressive Transformers,
            Saunders et al. 2020), or "euclidean", the distance of the frames as vectors (SLRTP 2025)
    method: as for dtw_jpe

    Returns and raises as dtw_jpe, and ValueError for an unknown `cost`.
    """
    if cost not in COSTS:
        raise ValueError(f"cost is {cost!r}, it must be one of {', '.join(COSTS)}")
    _check_method(method)
    pred, ref = _checked_track(pred, "prediction"), _checked_track(ref, "reference")
    common_joints(pred.shape, ref.shape)
    pred, ref = (track.reshape(len(track), -1) for track in (pred, ref))
    if method == "fastdtw":
        return _fastdtw(pred, ref, lambda a, b: costs_of_frames(a[None], b[None], cost == "euclidean")[0, 0])
    return DtwResult(*exact_dtw_of_frames(pred, ref, cost == "euclidean"))


def dtw_of_frames_pairs(
    preds: Sequence[np.ndarray], refs: Sequence[np.ndarray], cost: str, *, method: str = "exact"
) -> list[DtwResult]:
    """dtw_of_frames of many pairs of tracks, as dtw_jpe_pairs does it, whose arguments they are otherwise."""
    check_pairing(preds, refs)
    return _of_pairs(lambda pred, ref: dtw_of_frames(pred, ref, cost, method=method), preds, refs)


def _of_pairs(
    score: Callable[[np.ndarray, np.ndarray], DtwResult], preds: Sequence[np.ndarray], refs: Sequence[np.ndarray]
) -> list[DtwResult]:
    preds, refs = [np.asarray(pred) for pred in preds], [np.asarray(ref) for ref in refs]

    def of_pair(position: int) -> DtwResult:
        with pair_named(position):
            return score(preds[position], refs[position])

    # The longest first, so that none is left over at the end. Threads, whose compiled part runs at the same time, take
    # one pair after the other; a parallel loop would divide the pairs beforehand, and need copies of all of them.
    order = sorted(range(len(preds)), key=lambda position: -preds[position].size * refs[position].size)
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        results = dict(zip(order, pool.map(of_pair, order), strict=True))
    return [results[position] for position in range(len(preds))]


def _check_choices(align: str, method: str) -> None:
    check_alignment(align)
    _check_method(method)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, it must be one of {', '.join(METHODS)}")


def check_alignment(align: str) -> None:
    """Raises ValueError for an unknown alignment."""
    if align not in ALIGNMENTS:
        raise ValueError(f"align is {align!r}, it must be one of {', '.join(ALIGNMENTS)}")


def check_pairing(preds: Sequence, refs: Sequence) -> None:
    """Raises ValueError when predictions and references are not equally many."""
    if len(preds) != len(refs):
        raise ValueError(f"there are {len(preds)} predictions and {len(refs)} references")


@contextmanager
def pair_named(position: int) -> Iterator[None]:
    """Has a ValueError say which pair of tracks it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"pair {position}: {error}") from error


def check_track_shape(shape: Sequence[int], role: str) -> None:
    """Raises ValueError unless `shape` is [T, J, 3] with frames and joints."""
    if len(shape) != 3 or shape[1] == 0 or shape[2] != 3:
        raise ValueError(f"the {role} has shape {list(shape)}, it must be [T, J, 3]")
    if shape[0] == 0:
        raise ValueError(f"the {role} has no frames")


def common_joints(pred_shape: Sequence[int], ref_shape: Sequence[int]) -> int:
    """Number of joints of both tracks; raises ValueError when they differ."""
    if pred_shape[1] != ref_shape[1]:
        raise ValueError(f"the prediction has {pred_shape[1]} joints and the reference {ref_shape[1]}")
    return pred_shape[1]


def checked_joints(joints: Sequence[int] | np.ndarray | None, total: int) -> np.ndarray:
    """Indices of the joints scored, all of `total` when None; raises ValueError for none and unknown ones."""
    if joints is None:
        return np.arange(total)
    joints = np.asarray(joints)
    if joints.ndim != 1 or joints.size == 0 or joints.dtype.kind not in "iu":
        raise ValueError("joints must be a list of at least one joint index")
    if joints.min() < 0 or joints.max() >= total:
        raise ValueError(f"joints holds indices outside 0 to {total - 1}")
    return joints.astype(np.int64)


def _checked_track(track: np.ndarray, role: str) -> np.ndarray:
    track = np.ascontiguousarray(track, dtype=np.float64)
    check_track_shape(track.shape, role)
    if not np.isfinite(track).all():
        frame = int(np.flatnonzero(~np.isfinite(track).all(axis=(1, 2)))[0])
        raise ValueError(f"the {role} holds NaN or infinite positions, first in frame {frame}")
    return track


def _fastdtw(
    pred: np.ndarray, ref: np.ndarray, frame_cost: Callable[[np.ndarray, np.ndarray], float]
) -> DtwResult:
    """pred [T1, N], ref [T2, N]; frame_cost: of two frames [N]"""
    try:
        from fastdtw import fastdtw
    except ImportError as error:
        raise UserError("the DTW method 'fastdtw' needs the package of that name: pip install fastdtw") from error
    cost, path = fastdtw(pred, ref, radius=FASTDTW_RADIUS, dist=frame_cost)
    return DtwResult(float(cost), np.array(path, dtype=np.int64).T)
