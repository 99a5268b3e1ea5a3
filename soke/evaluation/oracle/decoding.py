"""Which signs of a lexicon a motion consists of: the cheapest sequence of them, exactly, by dynamic programming."""
from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def cheapest_signs(
    costs: np.ndarray, bounds: np.ndarray, between: float, begin: float, pace: int = 2
) -> tuple[float, np.ndarray, np.ndarray]:
    """Every frame belongs to a moment of a sign's form or lies between signs. A sign begins at its first moment, ends at
    its last, and from frame to frame stays or goes on by up to `pace` moments (one-stage connected-word recognition, Ney
    1984).

    costs:   [T, N] of frames at the moments of all V forms, one form's behind the other's
    bounds:  [V + 1] where each form's moments begin, and N
    between: cost of a frame between signs
    begin:   cost of a sign, besides
    pace:    at least 1

    Returns the whole cost, the forms [S] and their frames [S, 2], first and last.
    """
    frames, forms = costs.shape[0], bounds.size - 1
    here = np.full(costs.shape[1], np.inf)
    since = np.zeros(costs.shape[1], np.int64)  # frame at which the form of that moment was begun
    whole = np.zeros(frames + 1)  # of the cheapest way through the first frames that ends with a sign or between signs
    ended = np.full(frames + 1, -1)
    begun = np.zeros(frames + 1, np.int64)
    for t in range(frames):
        enter = whole[t] + begin
        whole[t + 1] = whole[t] + between
        for v in range(forms):
            first, behind = bounds[v], bounds[v + 1]
            for n in range(behind - 1, first - 1, -1):  # backwards: those before are still of the last frame
                cost, start = here[n], since[n]
                for back in range(1, pace + 1):
                    if n - back >= first and here[n - back] < cost:
                        cost, start = here[n - back], since[n - back]
                if n == first and enter < cost:
                    cost, start = enter, t
                here[n], since[n] = cost + costs[t, n], start
            if here[behind - 1] < whole[t + 1]:
                whole[t + 1], ended[t + 1], begun[t + 1] = here[behind - 1], v, since[behind - 1]
    found = np.empty((frames, 3), np.int64)
    count, t = 0, frames
    while t > 0:
        if ended[t] < 0:
            t -= 1
        else:
            found[frames - 1 - count] = ended[t], begun[t], t - 1
            count, t = count + 1, begun[t]
    found = found[frames - count :]
    return whole[frames], found[:, 0], found[:, 1:]
