"""How far people agree: Krippendorff's alpha and Gwet's AC2, from how often each category was chosen for each unit."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from soke.viewer.study.intervals import ends, jackknife

LEAST_UNITS = 10  # judged by two or more people


def identity_weights(categories: int) -> np.ndarray:
    """[K, K]: categories agree with themselves alone."""
    return np.eye(categories)


def ordinal_weights(categories: int) -> np.ndarray:
    """[K, K]: ordered categories agree the more the fewer lie between them (Gwet 2014, 3.5)."""
    places = np.arange(categories)
    between = np.abs(places[:, None] - places[None, :]) + 1
    pairs = between * (between - 1) / 2
    return 1 - pairs / pairs.max()


def krippendorff_alpha(counts: np.ndarray, ordered: bool) -> float:
    """Alpha, nominal or ordinal (Krippendorff 2011); NaN where it is undefined, as where one category alone is chosen.

    counts: [U, K] how many people have put unit u into category k
    """
    counts = counts[counts.sum(axis=1) > 1].astype(float)
    people = counts.sum(axis=1)
    if len(counts) == 0:
        return float("nan")
    together = np.einsum("uk,ul->ukl", counts, counts) - np.einsum("uk,kl->ukl", counts, np.eye(counts.shape[1]))
    observed = (together / (people - 1)[:, None, None]).sum(axis=0)  # coincidences [K, K]
    totals = observed.sum(axis=0)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    distances = _ordinal_distances(totals) if ordered else 1.0 - np.eye(len(totals))
    disagreement = (expected * distances).sum()
    return float(1 - (observed * distances).sum() / disagreement) if disagreement > 0 else float("nan")


def _ordinal_distances(totals: np.ndarray) -> np.ndarray:
    """[K, K]: square of how many choices lie from one category to the other, half of theirs included."""
    middle = np.cumsum(totals) - totals / 2
    return (middle[:, None] - middle[None, :]) ** 2


def gwet_ac2(counts: np.ndarray, weights: np.ndarray) -> float:
    """AC2, which is AC1 with identity weights (Gwet 2014, 4.3 and 5.2); NaN without a unit judged by two people.

    counts: [U, K] as of `krippendorff_alpha`; weights: [K, K]
    """
    people, categories = counts.sum(axis=1), counts.shape[1]
    counts, people = counts[people > 0].astype(float), people[people > 0].astype(float)
    several = people > 1
    if not several.any():
        return float("nan")
    chosen, of = counts[several], people[several]
    agreeing = (chosen * (chosen @ weights.T - 1)).sum(axis=1) / (of * (of - 1))
    shares = (counts / people[:, None]).mean(axis=0)
    chance = weights.sum() / (categories * (categories - 1)) * (shares * (1 - shares)).sum()
    return float((agreeing.mean() - chance) / (1 - chance))


def interval(counts: np.ndarray, coefficient: Callable[[np.ndarray], float]) -> tuple[float, float] | None:
    """Over the units; None where there is none."""
    without = np.array([coefficient(np.delete(counts, unit, axis=0)) for unit in range(len(counts))])
    return ends(np.minimum(jackknife(np.array(coefficient(counts)), without), 1.0))
