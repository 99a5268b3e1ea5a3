"""What an audit finds of a metric: whether it orders damage, does not see it, or prefers it to a second signer."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from soke.evaluation.audit.rows import AS_SIGNED, SECOND, row_of
from soke.evaluation.audit.values import SIGNS, Values
from soke.evaluation.damage.kinds import GRADES

RESAMPLES = 1000  # of the clips
OF_CORRELATIONS = 200
_SEEN = 0.05  # share of what another sentence costs, below which damage is not seen [A]
_EQUAL = 1e-5  # of the same, below which a difference is of rounding [A]
_FULL = row_of("another sentence", GRADES[-1])

Interval = tuple[float, float, float]  # a value, and the bounds of its 95 % bootstrap interval over clips
_NONE = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class OfKind:
    """What a metric makes of one kind of damage.

    tau:       Kendall's, of grades and of how bad each is found, in the mean of the clips: 1 orders all, 0 none, -1 finds
               less damage worse; ties, and differences of rounding, count as no order
    effect:    of the highest grade, in what another sentence costs
    blind:     whether the interval of what the highest grade costs holds 0, or the effect is below `_SEEN`
    rewarded:  whether the highest grade is found better than what was signed, by the whole interval
    preferred: of each grade the share of the clips that are found better than a second signer's, ties by half; NaN where
               nobody signs a second time
    """

    tau: Interval
    effect: float
    blind: bool
    rewarded: bool
    preferred: tuple[float, ...]


def of_kind(values: Values, column: str, kind: str) -> OfKind:
    """Raises KeyError for a column that has no values of clips."""
    of_column = values.of_clips[column]
    rows = [of_column[values.rows.index(row_of(kind, grade))] for grade in GRADES]
    cost = rows[-1] - of_column[values.rows.index(AS_SIGNED)]
    full = np.nanmean(of_column[values.rows.index(_FULL)] - of_column[values.rows.index(AS_SIGNED)])
    mean, low, high = resampled(cost)
    effect = mean / full if full else np.nan
    second = values.row(column, SECOND)
    preferred = tuple(
        np.nan if second is None else float(np.nanmean(0.5 + 0.5 * _signs(second - row, full))) for row in rows
    )
    blind = bool(np.isnan(mean) or low <= 0 <= high or abs(mean) < _SEEN * abs(full))
    tau = resampled(np.mean(_orders(rows, full), axis=0))
    return OfKind(tau, float(effect), blind, bool(high < 0), preferred)


def tau_of_rows(values: Values, column: str, kind: str) -> float:
    """Kendall's tau of a column that has no values of clips."""
    of_rows = values.of_rows[column]
    rows = [of_rows[values.rows.index(row_of(kind, grade))] for grade in GRADES]
    return float(np.mean(_orders(rows, of_rows[values.rows.index(_FULL)] - of_rows[values.rows.index(AS_SIGNED)])))


def _orders(rows: Sequence[np.ndarray | float], full: float) -> list[np.ndarray]:
    """Of each two of the rows, less damage first: 1 where the second is found worse, -1 where better, 0 for ties."""
    return [_signs(rows[j] - rows[i], full) for i in range(len(rows)) for j in range(i + 1, len(rows))]


def _signs(differences: np.ndarray | float, full: float) -> np.ndarray:
    """full: what another sentence costs"""
    return np.where(np.abs(differences) <= _EQUAL * abs(full), 0, np.sign(differences))


@dataclass(frozen=True)
class Correlation:
    """With the oracle's sign error: Pearson's r and Spearman's rho, over N clips of all rows, or over N systems."""

    pearson: Interval
    spearman: Interval
    count: int


def over_clips(values: Values, column: str) -> Correlation | None:
    """Of every clip in every row but as it was signed, the clips drawn again with all their rows. None without an oracle, or
    where all is one value."""
    if SIGNS not in values.of_clips:
        return None
    rows = [i for i, row in enumerate(values.rows) if row != AS_SIGNED]
    found, errors = values.of_clips[column][rows], values.of_clips[SIGNS][rows]

    def measured(clips: np.ndarray) -> tuple[float, float]:
        return _correlations(found[:, clips].ravel(), errors[:, clips].ravel())

    return _resampled_correlation(measured, len(values.clips), int((~np.isnan(found + errors)).sum()))


def over_systems(values: Values, column: str, systems: Sequence[str]) -> Correlation | None:
    """Of the means of systems, each in the clips that it is there of; None for fewer than four."""
    if SIGNS not in values.of_clips:
        return None
    rows = [values.rows.index(name) for name in systems]
    known = ~np.isnan(values.of_clips[SIGNS][rows])
    of_clips = values.of_clips.get(column)
    if of_clips is None or len(rows) < 4:
        return None

    def measured(clips: np.ndarray) -> tuple[float, float]:
        there = known[:, clips] & ~np.isnan(of_clips[rows][:, clips])
        means = [
            np.where(there, table[rows][:, clips], 0).sum(1) / np.where(there.sum(1), there.sum(1), np.nan)
            for table in (of_clips, values.of_clips[SIGNS])
        ]
        return _correlations(*means)

    return _resampled_correlation(measured, len(values.clips), len(rows))


def mean_of(values: Values, column: str, row: str) -> float:
    """How bad a row is found: the mean of its clips, or what is known of the row alone."""
    if column in values.of_rows:
        return float(values.of_rows[column][values.rows.index(row)])
    found = values.row(column, row)
    return np.nan if found is None else float(np.nanmean(found))


def disorder(values: Values, column: str, order: Sequence[str]) -> list[tuple[str, str]]:
    """Neighbours in an order from the best row to the worst of which the first is not found better than the second."""
    means = [mean_of(values, column, row) for row in order]
    return [(order[i], order[i + 1]) for i in range(len(order) - 1) if not means[i] < means[i + 1]]


def resampled(of_clips: np.ndarray) -> Interval:
    """Mean of [N], without NaN, and its interval."""
    known = of_clips[~np.isnan(of_clips)]
    if not known.size:
        return _NONE
    counts = np.random.default_rng(0).multinomial(known.size, np.full(known.size, 1 / known.size), RESAMPLES)
    low, high = np.percentile(counts @ known / known.size, [2.5, 97.5])
    return float(known.mean()), float(low), float(high)


def _resampled_correlation(measured, clips: int, count: int) -> Correlation | None:
    pearson, spearman = measured(np.arange(clips))
    if np.isnan(pearson):
        return None
    rng = np.random.default_rng(0)
    drawn = np.array([measured(rng.integers(clips, size=clips)) for _ in range(OF_CORRELATIONS)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    return Correlation((pearson, low[0], high[0]), (spearman, low[1], high[1]), count)


def _correlations(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Pearson's and Spearman's of what both have; NaN where one is the same everywhere."""
    known = ~np.isnan(first + second)
    first, second = first[known], second[known]
    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan, np.nan
    return tuple(float(np.corrcoef(*pair)[0, 1]) for pair in ((first, second), (rankdata(first), rankdata(second))))
