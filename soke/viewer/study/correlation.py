"""Whether scores go with what people say: Pearson's and Spearman's correlation, with intervals over the sentences."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soke.viewer.study.intervals import ends, jackknife

LEAST_POINTS = 10
LEAST_CLIPS = 6
TOO_LITTLE = "too little data"
_ONE = 1 - 1e-9  # whose z is finite


@dataclass(frozen=True)
class Correlation:
    """pearson, spearman: value, and the interval's ends, None where it has none; points: how many signed clips, of how many sentences `clips`"""

    pearson: tuple[float, float | None, float | None]
    spearman: tuple[float, float | None, float | None]
    points: int
    clips: int


def correlation(scores: np.ndarray, judged: np.ndarray, clips: np.ndarray) -> Correlation | str:
    """Of scores [N] and people's judgement [N] of signed clips, or why there is too little data for one. Intervals are
    those of Fisher's z.

    clips: [N] number of the sentence; the signings of one, by several systems, are one unit
    """
    known = np.isfinite(scores) & np.isfinite(judged)
    scores, judged, clips = scores[known], judged[known], clips[known]
    sentences, place = np.unique(clips, return_inverse=True)
    if len(scores) < LEAST_POINTS or len(sentences) < LEAST_CLIPS:
        return (
            f"{TOO_LITTLE}: {len(scores)} signed clips of {len(sentences)} sentences, {LEAST_POINTS} of "
            f"{LEAST_CLIPS} are needed"
        )
    if np.ptp(scores) == 0 or np.ptp(judged) == 0:
        return "undefined: all values are the same"
    count = len(sentences)
    weights = np.concatenate([np.ones((1, count)), 1 - np.eye(count)])[:, place]  # [1 + C, N]: all, then without each
    found = []
    for x, y in ((scores, judged), (ranks(scores, weights), ranks(judged, weights))):
        values = weighted(np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape), weights)
        z = np.arctanh(np.clip(values, -_ONE, _ONE))
        found.append((float(values[0]), *(ends(np.tanh(jackknife(z[0], z[1:]))) or (None, None))))
    return Correlation(found[0], found[1], len(scores), len(sentences))


def ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks [R, N] of the values [N] in samples that hold each so many times, weights [R, N]; equal values share the
    mean of theirs. All are less by a half, which no correlation sees."""
    _, place = np.unique(values, return_inverse=True)
    groups = np.zeros((len(weights), place.max() + 1))
    np.add.at(groups, (slice(None), place), weights)
    return (np.cumsum(groups, axis=1) - groups / 2)[:, place]


def weighted(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation in every row of [R, N]; NaN where a row has one value alone."""
    total = weights.sum(axis=1, keepdims=True)
    least = [1e-12 * (weights * v * v).sum(axis=1) for v in (x, y)]  # of one value alone, but for rounding
    x, y = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
    xy, xx, yy = ((weights * product).sum(axis=1) for product in (x * y, x * x, y * y))
    varied = (xx > least[0]) & (yy > least[1])
    return np.where(varied, xy / np.sqrt(np.where(varied, xx * yy, 1.0)), np.nan)
