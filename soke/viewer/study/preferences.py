"""What pairwise preferences say: shares, exact tests, and scores of the systems (Bradley and Terry 1952)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse, stats
from scipy.special import expit

from soke.viewer.study.intervals import LEVEL, jackknife

LEAST_DECIDED = 6  # with fewer, even unanimous answers have an exact p above 0.05
LEAST_PEOPLE = 6  # likewise


def share_interval(successes: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent answers."""
    interval = stats.binomtest(successes, total).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def exact_p(successes: int, total: int, chance: float = 0.5) -> float:
    """Two-sided exact binomial test against chance."""
    return float(stats.binomtest(successes, total, chance).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for how many there are (Holm 1979)."""
    order = np.argsort(values)
    steps = np.asarray(values, dtype=float)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()


@dataclass(frozen=True)
class Scores:
    """Bradley–Terry scores: log-odds, of mean 0.

    values:    [S], or None where none can be told
    intervals: [S, 2], or None likewise
    problem:   why there are none
    """

    values: np.ndarray | None
    intervals: np.ndarray | None
    problem: str = ""


def bradley_terry(wins: np.ndarray) -> Scores:
    """Scores from wins of each participant, a tie being half a win of both.

    wins: [N, S, S] how often participant n has preferred system i to j

    Intervals are over the participants, but for those who have judged nothing.
    """
    wins = wins[wins.any(axis=(1, 2))]
    if len(wins) == 0 or not connected(wins.sum(axis=0)):
        return Scores(None, None, "some systems have only won, or only lost, against the others: no finite score fits")
    values = maximum(wins.sum(axis=0), np.zeros(wins.shape[1]))
    if len(wins) < LEAST_PEOPLE:
        return Scores(values, None, f"too little data for intervals: {len(wins)} participants, {LEAST_PEOPLE} are needed")
    without = wins.sum(axis=0) - wins  # each participant once
    if not all(map(connected, without)):
        return Scores(values, None, "too little data for intervals: without one participant some system has only won, or lost")
    intervals = jackknife(values, np.array([maximum(others, values) for others in without]))
    if not np.isfinite(intervals).all():
        return Scores(values, None, "no intervals: all participants prefer the same, as often")
    return Scores(values, intervals)


def connected(wins: np.ndarray) -> bool:
    """Whether wins [S, S] lead from every system to every other, without which there is no maximum (Ford 1957)."""
    return sparse.csgraph.connected_components(sparse.csr_array(wins > 0), connection="strong")[0] == 1


def maximum(wins: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Scores [S] of greatest likelihood, of mean 0, where its slope is 0; wins: [S, S], `connected`; start: [S]

    Raises ArithmeticError where none are found, which no connected wins have shown yet.
    """

    def differences(scores: np.ndarray) -> np.ndarray:
        whole = np.concatenate([[0.0], scores])  # the likelihood knows differences alone
        return whole[:, None] - whole[None, :]

    def slope(scores: np.ndarray) -> np.ndarray:
        surprising = wins * expit(-differences(scores))
        return (surprising.sum(axis=1) - surprising.sum(axis=0))[1:]

    def curvature(scores: np.ndarray) -> np.ndarray:
        d = differences(scores)
        of_pairs = (wins + wins.T) * expit(d) * expit(-d)
        return (of_pairs - np.diag(of_pairs.sum(axis=1)))[1:, 1:]

    found = optimize.root(slope, start[1:] - start[0], jac=curvature)
    if not found.success:
        raise ArithmeticError(f"no scores fit these wins: {found.message}")
    scores = np.concatenate([[0.0], found.x])
    return scores - scores.mean()
