"""Where the signs that were retrieved for a sentence have ended up among the codes that were generated for it."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

FOUND = 0.5  # least share of a sign's codes that must stand, in their order, where it is said to have ended up


@dataclass(frozen=True)
class Place:
    """Steps `start` to `end` - 1 of the generated ones; agreement: share of the sign's codes that stand there, in
    their order."""

    start: int
    end: int
    agreement: float

    @property
    def found(self) -> bool:
        return self.agreement >= FOUND


def ended_up(sign: Tensor, codes: Tensor) -> Place:
    """The best local alignment (Smith and Waterman) of a sign's codes with generated ones.

    Two steps that are aligned count the share of their streams that agree, less the share of those that differ; a step
    that is passed over on either side counts -1. Among equally good ones, the first.

    sign:  [K, S], K > 0
    codes: [T, S]
    """
    same = (sign[:, None] == codes[None]).double().mean(-1).tolist()  # [K, T]
    # (value, share that agrees, step at which it has begun) of the best alignment that ends before each step
    best, row = (0.0, 0.0, 0), [(0.0, 0.0, t) for t in range(len(codes) + 1)]
    end = 0
    for of_step in same:
        above, row = row, [(0.0, 0.0, 0)]
        for t, share in enumerate(of_step):
            value, agreed, begun = above[t]
            ends = [(0.0, 0.0, t + 1), (value + 2 * share - 1, agreed + share, begun)]
            ends += [(value - 1, agreed, begun) for value, agreed, begun in (above[t + 1], row[t])]
            row.append(max(ends, key=lambda each: each[0]))
            if (row[-1][0], -t) > (best[0], 1 - end):
                best, end = row[-1], t + 1
    return Place(best[2], end, best[1] / len(sign))
