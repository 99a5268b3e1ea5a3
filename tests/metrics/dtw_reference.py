"""The obvious DTW, a double loop in Python with NumPy's SVD per pair of frames: for the tests and the benchmark."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np


def similarity_aligned(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """pred [J, 3] moved, turned and scaled onto ref [J, 3] with least squared error (Umeyama 1991)."""
    pred_mean, ref_mean = pred.mean(axis=0), ref.mean(axis=0)
    pred_centred, ref_centred = pred - pred_mean, ref - ref_mean
    u, singular, vt = np.linalg.svd(pred_centred.T @ ref_centred)
    sign = np.ones(3)
    if np.linalg.det(vt.T @ u.T) < 0:
        sign[2] = -1.0
    rotation = vt.T @ np.diag(sign) @ u.T
    scale = (singular * sign).sum() / (pred_centred**2).sum()
    return scale * pred_centred @ rotation.T + ref_mean


def root_aligned(pred: np.ndarray, ref: np.ndarray) -> np.ndarray:
    """pred [J, 3] moved so that its joint 0 is that of ref [J, 3]."""
    return pred - pred[0] + ref[0]


def frame_costs(pred: np.ndarray, ref: np.ndarray, align: str, joints: np.ndarray) -> np.ndarray:
    """[T1, T2] mean distance of the scored joints of every pair of frames."""
    aligned = {"root": root_aligned, "procrustes": similarity_aligned}[align]
    costs = np.zeros((len(pred), len(ref)))
    for i in range(len(pred)):
        for j in range(len(ref)):
            difference = aligned(pred[i], ref[j])[joints] - ref[j][joints]
            costs[i, j] = np.linalg.norm(difference, axis=-1).mean()
    return costs


def accumulated_cost(costs: np.ndarray) -> float:
    """Cost of the cheapest warping path through costs [T1, T2]."""
    total = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(costs.shape[0]):
        for j in range(costs.shape[1]):
            total[i + 1, j + 1] = costs[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


def absolute_difference(pred: np.ndarray, ref: np.ndarray) -> float:
    """Of all coordinates of two frames [J, 3], summed: the cost of Progressive Transformers."""
    return float(np.sum(np.abs(pred - ref)))


def vector_distance(pred: np.ndarray, ref: np.ndarray) -> float:
    """Of two frames [J, 3] as vectors: the cost of SLRTP 2025."""
    return float(np.linalg.norm((pred - ref).ravel()))


def naive_dtw_of_frames(
    pred: np.ndarray, ref: np.ndarray, frame_cost: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """What soke.metrics.dtw.dtw_of_frames(...).cost must be."""
    return accumulated_cost(np.array([[frame_cost(p, r) for r in ref] for p in pred]))


def naive_dtw_jpe(pred: np.ndarray, ref: np.ndarray, align: str, joints: np.ndarray) -> float:
    """What soke.metrics.dtw.dtw_jpe(...).cost must be."""
    pred, ref = np.asarray(pred, dtype=np.float64), np.asarray(ref, dtype=np.float64)
    return accumulated_cost(frame_costs(pred, ref, align, joints))
