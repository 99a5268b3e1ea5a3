"""What dynamic time warping computes, compiled: costs of pairs of frames, and the cheapest path through them.

Arrays are float64. A pair of clips is one thread's work: cores that share it wait for each other too often.
"""
from __future__ import annotations

from math import copysign, sqrt

import numba
import numpy as np

POINT_EXTENT = 100 * np.finfo(np.float64).eps  # as in soke.metrics.alignment, which needs torch

# Smallest z / trace^3, of _similarities, at most 8 / 27: at this one the closed form is precise to about 1e-11.
SEPARATION = 3e-3
NEWTON_STEPS = 16  # 5 on most frames; 13 at the smallest separation
NEWTON_PRECISION = 1e-9  # the next step is its square
JACOBI_SWEEPS = 16  # a 4x4 matrix is diagonal to machine precision after 4 to 6
JOINTS_AT_ONCE = 3  # covariances are read and written once for so many joints


@numba.njit(cache=True, nogil=True)
def exact_dtw(pred: np.ndarray, ref: np.ndarray, procrustes: bool, joints: np.ndarray) -> tuple[float, np.ndarray]:
    """Accumulated cost and [2, L] path of pred [T1, J, 3] and ref [T2, J, 3]."""
    return _cheapest_path(frame_costs(pred, ref, procrustes, joints))


@numba.njit(cache=True)
def frame_costs(pred: np.ndarray, ref: np.ndarray, procrustes: bool, joints: np.ndarray) -> np.ndarray:
    """Cost of every pair of frames of pred [T1, J, 3] and ref [T2, J, 3] in metres, [T1, T2]."""
    if procrustes:
        pred_centred, variance = _centred(pred)
        ref_centred, _ = _centred(ref)
        return _procrustes_costs(pred_centred, ref_centred, variance, joints)
    return _root_costs(_from_root(pred, joints), _from_root(ref, joints))


@numba.njit(cache=True, nogil=True)
def exact_dtw_of_frames(pred: np.ndarray, ref: np.ndarray, euclidean: bool) -> tuple[float, np.ndarray]:
    """Accumulated cost and [2, L] path of pred [T1, N] and ref [T2, N], frames of N numbers, nothing aligned."""
    return _cheapest_path(costs_of_frames(pred, ref, euclidean))


@numba.njit(cache=True)
def costs_of_frames(pred: np.ndarray, ref: np.ndarray, euclidean: bool) -> np.ndarray:
    """Sums of absolute differences, or Euclidean distances, of frames pred [T1, N] and ref [T2, N]: [T1, T2]."""
    numbers = np.ascontiguousarray(ref.T)  # [N, T2]: long rows
    costs = np.zeros((pred.shape[0], ref.shape[0]))
    for i in range(pred.shape[0]):
        row = costs[i]
        for n in range(numbers.shape[0]):
            value, of_ref = pred[i, n], numbers[n]
            if euclidean:
                for j in range(row.size):
                    row[j] += (of_ref[j] - value) * (of_ref[j] - value)
            else:
                for j in range(row.size):
                    row[j] += abs(of_ref[j] - value)
        if euclidean:
            for j in range(row.size):
                row[j] = sqrt(row[j])
    return costs


@numba.njit(cache=True)
def _from_root(track: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Positions of `joints` relative to joint 0: [S, 3, T] of track [T, J, 3]."""
    relative = np.empty((joints.size, 3, track.shape[0]))
    for s in range(joints.size):
        for axis in range(3):
            for t in range(track.shape[0]):
                relative[s, axis, t] = track[t, joints[s], axis] - track[t, 0, axis]
    return relative


@numba.njit(cache=True)
def _centred(track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions relative to the mean of their frame, and their variance times J.

    track is [T, J, 3]; returns [K, 3, T], K the next multiple of JOINTS_AT_ONCE, filled up with zeros, and [T]. A
    frame whose points all coincide is zero, and so is its variance.
    """
    frames, total, _ = track.shape
    centred = np.zeros((-(-total // JOINTS_AT_ONCE) * JOINTS_AT_ONCE, 3, frames))
    mean, farthest, variance = np.zeros((3, frames)), np.zeros(frames), np.zeros(frames)
    for k in range(total):
        for axis in range(3):
            for t in range(frames):
                position = track[t, k, axis]
                centred[k, axis, t] = position
                mean[axis, t] += position
                farthest[t] = max(farthest[t], abs(position))
    mean /= total
    for k in range(total):
        for axis in range(3):
            for t in range(frames):
                position = centred[k, axis, t] - mean[axis, t]
                centred[k, axis, t] = position
                variance[t] += position * position
    for t in range(frames):
        if variance[t] <= total * (POINT_EXTENT * farthest[t]) ** 2:
            centred[:, :, t] = 0.0
            variance[t] = 0.0
    return centred, variance


@numba.njit(cache=True)
def _root_costs(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """Mean joint distances [T1, T2]; pred [S, 3, T1], ref [S, 3, T2], both relative to their root."""
    costs = np.zeros((pred.shape[2], ref.shape[2]))
    for i in range(pred.shape[2]):
        row = costs[i]
        for s in range(ref.shape[0]):
            x, y, z = pred[s, 0, i], pred[s, 1, i], pred[s, 2, i]
            ref_x, ref_y, ref_z = ref[s, 0], ref[s, 1], ref[s, 2]
            for j in range(row.size):
                dx, dy, dz = ref_x[j] - x, ref_y[j] - y, ref_z[j] - z
                row[j] += sqrt(dx * dx + dy * dy + dz * dz)
        row /= ref.shape[0]
    return costs


@numba.njit(cache=True)
def _procrustes_costs(pred: np.ndarray, ref: np.ndarray, variance: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Mean distances of `joints` after the best similarity of each pair of frames, [T1, T2].

    pred [K, 3, T1] and ref [K, 3, T2], centred; variance [T1], of pred. Each step runs over all frames of ref at
    once, so that it compiles to vector instructions.
    """
    costs = np.zeros((pred.shape[2], ref.shape[2]))
    for i in range(pred.shape[2]):
        if variance[i] > 0.0:
            similarity = _similarities(_covariances(pred[:, :, i], ref), variance[i])
        else:  # one point, which ends on the mean
            similarity = np.zeros((3, 3, ref.shape[2]))
        xx, xy, xz = similarity[0, 0], similarity[0, 1], similarity[0, 2]
        yx, yy, yz = similarity[1, 0], similarity[1, 1], similarity[1, 2]
        zx, zy, zz = similarity[2, 0], similarity[2, 1], similarity[2, 2]
        row = costs[i]
        for k in joints:
            x, y, z = pred[k, 0, i], pred[k, 1, i], pred[k, 2, i]
            ref_x, ref_y, ref_z = ref[k, 0], ref[k, 1], ref[k, 2]
            for j in range(row.size):
                dx = xx[j] * x + yx[j] * y + zx[j] * z - ref_x[j]
                dy = xy[j] * x + yy[j] * y + zy[j] * z - ref_y[j]
                dz = xz[j] * x + yz[j] * y + zz[j] * z - ref_z[j]
                row[j] += sqrt(dx * dx + dy * dy + dz * dz)
        row /= joints.size
    return costs


@numba.njit(cache=True)
def _covariances(frame: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """Sums over joints of the products of coordinates: [3, 3, L] of frame [K, 3] and ref [K, 3, L], frame's first."""
    ref_tracks = ref.reshape(ref.shape[0], 3 * ref.shape[2])  # long rows
    covariances = np.zeros((3, ref_tracks.shape[1]))
    with_x, with_y, with_z = covariances[0], covariances[1], covariances[2]
    for k in range(0, frame.shape[0], JOINTS_AT_ONCE):
        x0, y0, z0 = frame[k, 0], frame[k, 1], frame[k, 2]
        x1, y1, z1 = frame[k + 1, 0], frame[k + 1, 1], frame[k + 1, 2]
        x2, y2, z2 = frame[k + 2, 0], frame[k + 2, 1], frame[k + 2, 2]
        ref0, ref1, ref2 = ref_tracks[k], ref_tracks[k + 1], ref_tracks[k + 2]
        for j in range(with_x.size):
            with_x[j] += x0 * ref0[j] + x1 * ref1[j] + x2 * ref2[j]
            with_y[j] += y0 * ref0[j] + y1 * ref1[j] + y2 * ref2[j]
            with_z[j] += z0 * ref0[j] + z1 * ref1[j] + z2 * ref2[j]
    return covariances.reshape(3, 3, ref.shape[2])


@numba.njit(cache=True, error_model="numpy")  # a division that may raise is not vectorised
def _similarities(c: np.ndarray, variance: float) -> np.ndarray:
    """The best proper rotations of frames with covariances c [3, 3, L], times their best scales; overwrites c.

    Returns [3, 3, L]; the first axis is the one that is summed over when points are turned.

    With the singular values s1 >= s2 >= |s3| of c, s3 negative where c mirrors, trace = s1 + s2 + s3 is the largest
    root of x^4 - 2 |c|^2 x^2 - 8 det(c) x + |c|^4 - 4 |cof(c)|^2, and trace / variance is the scale. Newton's steps
    from above reach it. The rotation is Markley's (1993, "Attitude determination using vector observations: a fast
    optimal matrix algorithm"):

        R = ((k + |c|^2) c - c c' c + trace cof(c)) / z,  k = (trace^2 - |c|^2) / 2,  z = k trace - det(c)

    z = (s1 + s2) (s2 + s3) (s3 + s1) vanishes where more than one rotation is best, or nearly does; there, Jacobi's
    method always finds one.
    """
    trace, squares, determinant = _traces(c)
    separated = np.empty(trace.size, dtype=np.bool_)
    for j in range(trace.size):
        z = 0.5 * (trace[j] * trace[j] - squares[j]) * trace[j] - determinant[j]
        separated[j] = z > SEPARATION * trace[j] * trace[j] * trace[j]
    inseparable = np.flatnonzero(~separated)
    originals = c[:, :, inseparable]

    for j in range(trace.size):
        xx, xy, xz = c[0, 0, j], c[0, 1, j], c[0, 2, j]
        yx, yy, yz = c[1, 0, j], c[1, 1, j], c[1, 2, j]
        zx, zy, zz = c[2, 0, j], c[2, 1, j], c[2, 2, j]
        s, k = trace[j], 0.5 * (trace[j] * trace[j] - squares[j])
        scale = s / (variance * (k * s - determinant[j]))
        k += squares[j]
        x_x, y_y = k - xx * xx - xy * xy - xz * xz, k - yx * yx - yy * yy - yz * yz
        z_z = k - zx * zx - zy * zy - zz * zz
        x_y, x_z, y_z = xx * yx + xy * yy + xz * yz, xx * zx + xy * zy + xz * zz, yx * zx + yy * zy + yz * zz
        c[0, 0, j] = scale * (x_x * xx - x_y * yx - x_z * zx + s * (yy * zz - yz * zy))
        c[0, 1, j] = scale * (x_x * xy - x_y * yy - x_z * zy + s * (yz * zx - yx * zz))
        c[0, 2, j] = scale * (x_x * xz - x_y * yz - x_z * zz + s * (yx * zy - yy * zx))
        c[1, 0, j] = scale * (y_y * yx - x_y * xx - y_z * zx + s * (xz * zy - xy * zz))
        c[1, 1, j] = scale * (y_y * yy - x_y * xy - y_z * zy + s * (xx * zz - xz * zx))
        c[1, 2, j] = scale * (y_y * yz - x_y * xz - y_z * zz + s * (xy * zx - xx * zy))
        c[2, 0, j] = scale * (z_z * zx - x_z * xx - y_z * yx + s * (xy * yz - xz * yy))
        c[2, 1, j] = scale * (z_z * zy - x_z * xy - y_z * yy + s * (xz * yx - xx * yz))
        c[2, 2, j] = scale * (z_z * zz - x_z * xz - y_z * yz + s * (xx * yy - xy * yx))

    for number in range(inseparable.size):
        c[:, :, inseparable[number]] = _jacobi_rotation(originals[:, :, number]) / variance
    return c


@numba.njit(cache=True, error_model="numpy")
def _traces(c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of c [3, 3, L]: the traces of _similarities, the sums of squares and the determinants, [L] each."""
    trace, squares, determinant = np.empty(c.shape[2]), np.empty(c.shape[2]), np.empty(c.shape[2])
    constant = np.empty(c.shape[2])
    for j in range(trace.size):
        xx, xy, xz = c[0, 0, j], c[0, 1, j], c[0, 2, j]
        yx, yy, yz = c[1, 0, j], c[1, 1, j], c[1, 2, j]
        zx, zy, zz = c[2, 0, j], c[2, 1, j], c[2, 2, j]
        of_xx, of_xy, of_xz = yy * zz - yz * zy, yz * zx - yx * zz, yx * zy - yy * zx
        of_yx, of_yy, of_yz = xz * zy - xy * zz, xx * zz - xz * zx, xy * zx - xx * zy
        of_zx, of_zy, of_zz = xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx
        on_x, on_y, on_z = xx * xx + xy * xy + xz * xz, yx * yx + yy * yy + yz * yz, zx * zx + zy * zy + zz * zz
        cofactors = of_xx * of_xx + of_xy * of_xy + of_xz * of_xz
        cofactors += of_yx * of_yx + of_yy * of_yy + of_yz * of_yz
        cofactors += of_zx * of_zx + of_zy * of_zy + of_zz * of_zz
        squares[j] = on_x + on_y + on_z
        determinant[j] = xx * of_xx + xy * of_xy + xz * of_xz
        constant[j] = squares[j] * squares[j] - 4.0 * cofactors
        trace[j] = sqrt(squares[j] + 2.0 * sqrt(3.0 * cofactors))  # not below the root, as k^2 <= 3 |cof(c)|^2

    for _ in range(NEWTON_STEPS):
        moving = 0
        for j in range(trace.size):
            s, twice = trace[j], trace[j] * trace[j] - squares[j]
            value = (twice - squares[j]) * s * s - 8.0 * determinant[j] * s + constant[j]
            step = value / (4.0 * (twice * s - 2.0 * determinant[j]))
            trace[j] = s - step
            moving += step > NEWTON_PRECISION * s
        if moving == 0:
            break
    return trace, squares, determinant


@numba.njit(cache=True)
def _jacobi_rotation(c: np.ndarray) -> np.ndarray:
    """The best proper rotation of frames with the covariance c [3, 3], as in _similarities, times its trace.

    Horn's closed form (1987): its quaternion is the leading eigenvector of a symmetric 4x4 matrix, here N, and the
    trace is the eigenvalue. Some leading eigenvector always exists.
    """
    n = np.empty((4, 4))
    n[0, 0], n[1, 1] = c[0, 0] + c[1, 1] + c[2, 2], c[0, 0] - c[1, 1] - c[2, 2]
    n[2, 2], n[3, 3] = c[1, 1] - c[0, 0] - c[2, 2], c[2, 2] - c[0, 0] - c[1, 1]
    n[0, 1], n[0, 2], n[0, 3] = c[1, 2] - c[2, 1], c[2, 0] - c[0, 2], c[0, 1] - c[1, 0]
    n[1, 2], n[1, 3], n[2, 3] = c[0, 1] + c[1, 0], c[2, 0] + c[0, 2], c[1, 2] + c[2, 1]
    for p in range(3):
        for q in range(p + 1, 4):
            n[q, p] = n[p, q]
    vectors = np.eye(4)
    negligible = 1e-17 * np.abs(n).max()
    for _ in range(JACOBI_SWEEPS):
        for p in range(3):
            for q in range(p + 1, 4):
                if abs(n[p, q]) > negligible:
                    ratio = 0.5 * (n[q, q] - n[p, p]) / n[p, q]
                    tangent = copysign(1.0, ratio) / (abs(ratio) + sqrt(ratio * ratio + 1.0))
                    cosine = 1.0 / sqrt(tangent * tangent + 1.0)
                    _rotate(n, p, q, cosine, tangent * cosine)
                    _rotate(n.T, p, q, cosine, tangent * cosine)
                    _rotate(vectors, p, q, cosine, tangent * cosine)

    best = np.argmax(np.diag(n))
    s, w, x, y, z = n[best, best], vectors[0, best], vectors[1, best], vectors[2, best], vectors[3, best]
    turned = np.empty((3, 3))
    turned[0, 0], turned[1, 1] = w * w + x * x - y * y - z * z, w * w - x * x + y * y - z * z
    turned[2, 2] = w * w - x * x - y * y + z * z
    turned[0, 1], turned[1, 0] = 2.0 * (x * y + w * z), 2.0 * (x * y - w * z)
    turned[0, 2], turned[2, 0] = 2.0 * (x * z - w * y), 2.0 * (x * z + w * y)
    turned[1, 2], turned[2, 1] = 2.0 * (y * z + w * x), 2.0 * (y * z - w * x)
    return s * turned


@numba.njit(cache=True)
def _rotate(matrix: np.ndarray, p: int, q: int, cosine: float, sine: float) -> None:
    """Turns the columns p and q of matrix [4, 4] into each other, in place."""
    for k in range(4):
        at_p, at_q = matrix[k, p], matrix[k, q]
        matrix[k, p], matrix[k, q] = cosine * at_p - sine * at_q, sine * at_p + cosine * at_q


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
