"""Where the signs that were retrieved for a sentence have ended up among the codes that were generated for it."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

FOUND = 1.3  # steps' worth of codes that must agree. In the demo, 57 % of what is retrieved is found by that, and 2 % of
# signs that were not: recordings of isolated signs are slower than sentences, and begin and end at rest
_EVEN = 0.3  # share of the streams that agree from which on two steps are alike


@dataclass(frozen=True)
class Place:
    """Steps `start` to `end` - 1 of the generated ones; agreeing: codes of the sign that stand there, in their order,
    in steps' worth: as many as streams are 1; found: whether they are enough."""

    start: int
    end: int
    agreeing: float
    found: bool


def ended_up(sign: Tensor, codes: Tensor) -> Place:
    """The best local alignment (Smith and Waterman) of a sign's codes with generated ones.

    Two aligned steps gain from 1, where all streams agree, down to where none does, through 0 at `_EVEN`; a step that is
    passed over on either side costs 1. Among equally good alignments, the one that ends first.

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
            ends = [(0.0, 0.0, t + 1), (value + (share - _EVEN) / (1 - _EVEN), agreed + share, begun)]
            ends += [(value - 1, agreed, begun) for value, agreed, begun in (above[t + 1], row[t])]
            row.append(max(ends, key=lambda each: each[0]))
            if (row[-1][0], -t) > (best[0], 1 - end):
                best, end = row[-1], t + 1
    return Place(best[2], end, best[1], best[1] >= min(FOUND, len(sign)))
