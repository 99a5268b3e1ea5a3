"""Intervals of what is found over people, sentences or items, few as they may be: by leaving each out once."""
from __future__ import annotations

import numpy as np
from scipy import stats

LEVEL = 0.95
_ROUNDING = 1e-12


def jackknife(value: np.ndarray, without: np.ndarray) -> np.ndarray:
    """95 % intervals [..., 2] by the jackknife's standard error (Efron and Tibshirani 1993, chapter 11) and Student's t;
    NaN where a value is, and where leaving out changes nothing: of what nobody differs in there is no interval.

    value:   [...] what is found of all N units
    without: [N, ...] what is found without each of them

    Percentiles of bootstrap samples of few units, which are narrower, hold the truth too seldom.
    """
    count = len(without)
    error = np.sqrt((count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.where(error > _ROUNDING, error, np.nan)
    return np.stack([value - half, value + half], axis=-1)


def ends(interval: np.ndarray) -> tuple[float, float] | None:
    """Of one interval [2]; None where there is none."""
    low, high = interval.tolist()
    return (low, high) if np.isfinite(interval).all() else None
