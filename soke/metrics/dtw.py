"""Exact dynamic time warping of joint tracks: DTW-JPE and DTW-PA-JPE, compiled.

Definition as in SOKE's evaluation: the cost of a pair of frames is the mean distance of the scored joints after the
predicted frame has been aligned to the reference frame; the score is the cost accumulated along the cheapest warping
path, in metres. One thread: two cores that share the work of one pair of clips wait for each other too often.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numba
import numpy as np

from soke.errors import UserError

ALIGNMENTS = ("root", "procrustes")
METHODS = ("exact", "fastdtw")
FASTDTW_RADIUS = 1
POINT_EXTENT = 100 * np.finfo(np.float64).eps  # as in soke.metrics.alignment, which needs torch
JACOBI_SWEEPS = 16  # a 4x4 matrix is diagonal to machine precision after 4 to 6


@dataclass(frozen=True)
class DtwResult:
    """A warping path and what it cost.

    Attributes:
        cost: accumulated cost in metres, the published score.
        path: [2, L] frame indices (prediction, reference) from (0, 0) to (T1 - 1, T2 - 1).
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

    Args:
        pred: [T1, J, 3] joint positions in metres.
        ref: [T2, J, 3] joint positions in metres.
        align: "root" moves joint 0 onto joint 0 (DTW-JPE); "procrustes" fits a similarity, scale included, over all
            J joints (DTW-PA-JPE).
        joints: indices of the joints scored; all when None. They do not change the alignment.
        method: "exact", or "fastdtw" for the approximation of the package of that name (radius 1), whose cost is
            an upper bound of the exact one.

    Returns:
        The cheapest path; among equally cheap ones that with the most diagonal steps near its end.

    Raises:
        ValueError: wrong shapes, no frames, no or unknown joints, NaN or infinite positions, unknown `align` or
            `method`.
        UserError: `method` is "fastdtw" and the package is not installed.
    """
    if align not in ALIGNMENTS:
        raise ValueError(f"align is {align!r}, it must be one of {', '.join(ALIGNMENTS)}")
    pred, ref = _checked_track(pred, "prediction"), _checked_track(ref, "reference")
    if pred.shape[1] != ref.shape[1]:
        raise ValueError(f"the prediction has {pred.shape[1]} joints and the reference {ref.shape[1]}")
    joints = _checked_joints(joints, pred.shape[1])

    if method == "exact":
        accumulated, path = _cheapest_path(_frame_costs(pred, ref, align, joints))
        return DtwResult(float(accumulated), path)
    if method == "fastdtw":
        return _fastdtw(pred, ref, align, joints)
    raise ValueError(f"method is {method!r}, it must be one of {', '.join(METHODS)}")


def _checked_track(track: np.ndarray, role: str) -> np.ndarray:
    track = np.asarray(track, dtype=np.float64)
    if track.ndim != 3 or track.shape[1] == 0 or track.shape[2] != 3:
        raise ValueError(f"the {role} has shape {list(track.shape)}, it must be [T, J, 3]")
    if len(track) == 0:
        raise ValueError(f"the {role} has no frames")
    if not np.isfinite(track).all():
        frame = int(np.flatnonzero(~np.isfinite(track).all(axis=(1, 2)))[0])
        raise ValueError(f"the {role} holds NaN or infinite positions, first in frame {frame}")
    return track


def _checked_joints(joints: Sequence[int] | np.ndarray | None, total: int) -> np.ndarray:
    if joints is None:
        return np.arange(total)
    joints = np.asarray(joints)
    if joints.ndim != 1 or joints.size == 0 or joints.dtype.kind not in "iu":
        raise ValueError("joints must be a list of at least one joint index")
    if joints.min() < 0 or joints.max() >= total:
        raise ValueError(f"joints holds indices outside 0 to {total - 1}")
    return joints


def _frame_costs(pred: np.ndarray, ref: np.ndarray, align: str, joints: np.ndarray) -> np.ndarray:
    """Cost of every pair of frames in metres, [T1, T2]."""
    if align == "root":
        pred_scored = (pred[:, joints] - pred[:, :1]).transpose(0, 2, 1)  # [T1, 3, S]
        ref_scored = (ref[:, joints] - ref[:, :1]).transpose(1, 2, 0)  # [S, 3, T2]
        return _root_costs(np.ascontiguousarray(pred_scored), np.ascontiguousarray(ref_scored))

    pred_centred = pred - pred.mean(axis=1, keepdims=True)
    ref_centred = ref - ref.mean(axis=1, keepdims=True)
    variance = np.einsum("tjd,tjd->t", pred_centred, pred_centred)  # [T1], times J
    smallest = pred.shape[1] * (POINT_EXTENT * np.abs(pred).max(axis=(1, 2))) ** 2
    inverse_variance = np.zeros_like(variance)
    np.divide(1.0, variance, out=inverse_variance, where=variance > smallest)

    pred_tracks = np.ascontiguousarray(pred_centred.transpose(0, 2, 1))  # [T1, 3, J]
    ref_tracks = np.ascontiguousarray(ref_centred.transpose(1, 2, 0))  # [J, 3, T2]
    return _procrustes_costs(pred_tracks, ref_tracks, inverse_variance, joints)


def _fastdtw(pred: np.ndarray, ref: np.ndarray, align: str, joints: np.ndarray) -> DtwResult:
    try:
        from fastdtw import fastdtw
    except ImportError as error:
        raise UserError("the DTW method 'fastdtw' needs the package of that name: pip install fastdtw") from error

    def frame_cost(pred_frame: np.ndarray, ref_frame: np.ndarray) -> float:
        return _frame_costs(pred_frame.reshape(1, -1, 3), ref_frame.reshape(1, -1, 3), align, joints)[0, 0]

    cost, path = fastdtw(
        pred.reshape(len(pred), -1), ref.reshape(len(ref), -1), radius=FASTDTW_RADIUS, dist=frame_cost
    )
    return DtwResult(float(cost), np.array(path, dtype=np.int64).T)


@numba.njit(cache=True)
def _root_costs(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """Mean joint distances; pred [T1, 3, S], ref [S, 3, T2], both relative to their root."""
    costs = np.zeros((pred.shape[0], ref.shape[2]))
    for i in range(pred.shape[0]):
        row = costs[i]
        for s in range(ref.shape[0]):
            x, y, z = pred[i, 0, s], pred[i, 1, s], pred[i, 2, s]
            ref_x, ref_y, ref_z = ref[s, 0], ref[s, 1], ref[s, 2]
            for j in range(row.size):
                dx, dy, dz = ref_x[j] - x, ref_y[j] - y, ref_z[j] - z
                row[j] += sqrt(dx * dx + dy * dy + dz * dz)
        row /= ref.shape[0]
    return costs


@numba.njit(cache=True)
def _procrustes_costs(
    pred: np.ndarray, ref: np.ndarray, inverse_variance: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """Mean distances of `joints` after the best similarity of each pair of frames.

    pred [T1, 3, J] and ref [J, 3, T2], centred; inverse_variance [T1], of the joints of pred.

    Horn's closed form (1987): the quaternion of the best proper rotation R is the leading eigenvector of a
    symmetric 4x4 matrix N of the covariances C, and its eigenvalue is trace(R C), so that scale = eigenvalue /
    variance. A reflection can never win, and planar or collinear frames need no special case, because some
    leading eigenvector always exists. Each step runs over all frames of ref at once, so that it compiles to
    vector instructions.
    """
    costs = np.zeros((pred.shape[0], ref.shape[2]))
    for i in range(pred.shape[0]):
        covariance = np.zeros((3, 3, ref.shape[2]))
        for k in range(ref.shape[0]):
            x, y, z = pred[i, 0, k], pred[i, 1, k], pred[i, 2, k]
            for column in range(3):
                ref_track = ref[k, column]
                with_x, with_y, with_z = covariance[0, column], covariance[1, column], covariance[2, column]
                for j in range(ref_track.size):
                    with_x[j] += x * ref_track[j]
                    with_y[j] += y * ref_track[j]
                    with_z[j] += z * ref_track[j]

        scale, quaternion = _leading_eigenvectors(_horn_matrices(covariance))
        scale *= inverse_variance[i]
        rotation = _scaled_rotations(scale, quaternion)
        r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
        r10, r11, r12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
        r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
        row = costs[i]
        for k in joints:
            x, y, z = pred[i, 0, k], pred[i, 1, k], pred[i, 2, k]
            ref_x, ref_y, ref_z = ref[k, 0], ref[k, 1], ref[k, 2]
            for j in range(row.size):
                dx = r00[j] * x + r01[j] * y + r02[j] * z - ref_x[j]
                dy = r10[j] * x + r11[j] * y + r12[j] * z - ref_y[j]
                dz = r20[j] * x + r21[j] * y + r22[j] * z - ref_z[j]
                row[j] += sqrt(dx * dx + dy * dy + dz * dz)
        row /= joints.size
    return costs


@numba.njit(cache=True)
def _horn_matrices(covariance: np.ndarray) -> np.ndarray:
    """Upper triangles of Horn's matrices N, [4, 4, L] from covariances [3, 3, L]; the rest is not set."""
    n = np.empty((4, 4, covariance.shape[2]))
    for j in range(covariance.shape[2]):
        xx, xy, xz = covariance[0, 0, j], covariance[0, 1, j], covariance[0, 2, j]
        yx, yy, yz = covariance[1, 0, j], covariance[1, 1, j], covariance[1, 2, j]
        zx, zy, zz = covariance[2, 0, j], covariance[2, 1, j], covariance[2, 2, j]
        n[0, 0, j], n[0, 1, j], n[0, 2, j], n[0, 3, j] = xx + yy + zz, yz - zy, zx - xz, xy - yx
        n[1, 1, j], n[1, 2, j], n[1, 3, j] = xx - yy - zz, xy + yx, zx + xz
        n[2, 2, j], n[2, 3, j] = yy - xx - zz, yz + zy
        n[3, 3, j] = zz - xx - yy
    return n


@numba.njit(cache=True)
def _scaled_rotations(scale: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """scale [L] times the rotation matrices of unit quaternions [4, L]: [3, 3, L]."""
    r = np.empty((3, 3, scale.size))
    for j in range(scale.size):
        s, a, b, c, d = scale[j], quaternion[0, j], quaternion[1, j], quaternion[2, j], quaternion[3, j]
        r[0, 0, j], r[1, 1, j] = s * (a * a + b * b - c * c - d * d), s * (a * a - b * b + c * c - d * d)
        r[2, 2, j] = s * (a * a - b * b - c * c + d * d)
        r[0, 1, j], r[1, 0, j] = 2 * s * (b * c - a * d), 2 * s * (b * c + a * d)
        r[0, 2, j], r[2, 0, j] = 2 * s * (b * d + a * c), 2 * s * (b * d - a * c)
        r[1, 2, j], r[2, 1, j] = 2 * s * (c * d - a * b), 2 * s * (c * d + a * b)
    return r


@numba.njit(cache=True, error_model="numpy")  # a division that may raise is not vectorised
def _leading_eigenvectors(n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues [L] and unit eigenvectors [4, L] of symmetric n [4, 4, L], by Jacobi's method.

    The upper triangles of n are read, and overwritten.
    """
    count = n.shape[2]
    vectors = np.zeros((4, 4, count))
    for p in range(4):
        vectors[p, p] = 1.0
    cosine, sine = np.empty(count), np.empty(count)
    for _ in range(JACOBI_SWEEPS):
        if _are_diagonal(n):
            break
        for p in range(3):
            for q in range(p + 1, 4):
                n_pp, n_qq, n_pq = n[p, p], n[q, q], n[p, q]
                for j in range(count):
                    twice, difference = 2.0 * n_pq[j], n_qq[j] - n_pp[j]
                    root = sqrt(difference * difference + twice * twice)
                    divisor = difference + root if difference >= 0.0 else difference - root
                    tangent = twice / divisor if divisor != 0.0 else 0.0
                    cosine[j] = 1.0 / sqrt(tangent * tangent + 1.0)
                    sine[j] = tangent * cosine[j]
                    n_pp[j] -= tangent * n_pq[j]
                    n_qq[j] += tangent * n_pq[j]
                    n_pq[j] = 0.0
                for k in range(4):
                    if k != p and k != q:
                        _rotate(n[min(k, p), max(k, p)], n[min(k, q), max(k, q)], cosine, sine)
                    _rotate(vectors[k, p], vectors[k, q], cosine, sine)

    values, leading = np.empty(count), np.empty((4, count))
    for j in range(count):
        best = 0
        for p in range(1, 4):
            if n[p, p, j] > n[best, best, j]:
                best = p
        values[j] = n[best, best, j]
        leading[:, j] = vectors[:, best, j]
    return values, leading


@numba.njit(cache=True)
def _are_diagonal(n: np.ndarray) -> bool:
    """Whether no upper triangle of n [4, 4, L] has anything beside its diagonal that is above rounding."""
    for j in range(n.shape[2]):
        on, off = 0.0, 0.0
        for p in range(4):
            on += n[p, p, j] ** 2
            for q in range(p + 1, 4):
                off += n[p, q, j] ** 2
        if off > 1e-32 * on:
            return False
    return True


@numba.njit(cache=True, inline="always")
def _rotate(at_p: np.ndarray, at_q: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Turns the entries in place."""
    for j in range(at_p.size):
        p, q = at_p[j], at_q[j]
        at_p[j] = cosine[j] * p - sine[j] * q
        at_q[j] = sine[j] * p + cosine[j] * q


@numba.njit(cache=True)
def _cheapest_path(costs: np.ndarray) -> tuple[float, np.ndarray]:
    """Accumulated cost and [2, L] path through costs [T1, T2], steps (1, 1), (1, 0), (0, 1); diagonal at ties."""
    rows, columns = costs.shape
    accumulated = np.empty((rows, columns))
    accumulated[0, 0] = costs[0, 0]
    for j in range(1, columns):
        accumulated[0, j] = accumulated[0, j - 1] + costs[0, j]
    for i in range(1, rows):
        left = accumulated[i - 1, 0] + costs[i, 0]
        accumulated[i, 0] = left
        for j in range(1, columns):
            best = min(accumulated[i - 1, j - 1], accumulated[i - 1, j])
            left = min(best, left) + costs[i, j]
            accumulated[i, j] = left

    path = np.empty((2, rows + columns - 1), dtype=np.int64)
    i, j, position = rows - 1, columns - 1, rows + columns - 1
    while True:
        position -= 1
        path[0, position], path[1, position] = i, j
        if i == 0 and j == 0:
            break
        if i == 0:
            j -= 1
        elif j == 0:
            i -= 1
        else:
            diagonal, up, left = accumulated[i - 1, j - 1], accumulated[i - 1, j], accumulated[i, j - 1]
            if diagonal <= up and diagonal <= left:
                i, j = i - 1, j - 1
            elif up <= left:
                i -= 1
            else:
                j -= 1
    return accumulated[rows - 1, columns - 1], path[:, position:].copy()
