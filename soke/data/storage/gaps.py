"""Points that nobody saw in some frames: filled in time, or left out."""
from __future__ import annotations

import numpy as np


def filled(points: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points that were seen in at least half of the frames, in the others interpolated from the frames around, or
    held where there are none on one side.

    points: [T, J, D]
    seen:   [T, J] bool; what stands in `points` elsewhere is of no account

    Returns the points [T, K, D] float32, and their numbers [K] among the J.
    """
    kept = np.flatnonzero(2 * seen.sum(axis=0) >= max(len(points), 1))
    result = points[:, kept].astype(np.float32)
    moments = np.arange(len(points))
    for column, joint in enumerate(kept):
        known = seen[:, joint]
        if not known.all():
            for axis in range(points.shape[2]):
                result[:, column, axis] = np.interp(moments, moments[known], points[known, joint, axis])
    return result, kept
