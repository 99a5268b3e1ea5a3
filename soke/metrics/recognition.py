"""Scores of the recognition of isolated signs: whether the right one is among the first k, clip by clip."""
from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from soke.data.labels import CONFUSING, NORMAL
from soke.metrics.clips import ClipMetric, Scorecard
from soke.metrics.signature import Signature

TOP = (1, 5)
ALL = "all"


def ranks(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Place of the target among all signs, from 1; of signs with the same score the one with the lower number is first,
    so that scores that tell nothing are right by chance alone.

    scores:  [B, C]
    targets: [B] numbers of signs, 0 to C - 1

    Raises ValueError for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score of a sign is NaN or infinite")
    own = scores[np.arange(len(scores)), targets, None]
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < targets[:, None]))
    return 1 + before.sum(1)


class TopAccuracy(ClipMetric):
    """Percent of the clips whose sign is among the first k, a mean over clips. Column "top-<k>".

    part:    which clips are scored: all, confusing or normal
    classes: number of signs that are told apart
    """

    higher_is_better = True

    def __init__(self, k: int, part: str, classes: int) -> None:
        super().__init__([Signature(f"top-{k}", part, units=("percent",), classes=classes)], 1)
        self.k = k

    def update(self, name: str, rank: int) -> None:
        """rank: of the clip's own sign, from 1"""
        self._add(name, np.array([100.0 * (rank <= self.k)]))


class GroupAccuracy(ClipMetric):
    """Percent of the clips for which the first sign is of the right group: its hands are right, whatever its face.
    Column "group"; parts and classes as of `TopAccuracy`."""

    higher_is_better = True

    def __init__(self, part: str, classes: int) -> None:
        super().__init__([Signature("group", part, units=("percent",), classes=classes)], 1)

    def update(self, name: str, right: bool) -> None:
        self._add(name, np.array([100.0 * right]))


class RecognitionScores(Scorecard):
    """Every score of one system on one corpus.

    classes: number of signs that are told apart
    subsets: those that occur among the clips
    groups:  whether confusing signs have groups
    """

    def __init__(self, classes: int, subsets: Collection[str] = (), groups: bool = False) -> None:
        parts = [part for part in (ALL, CONFUSING, NORMAL) if part in (ALL, *subsets)]
        self.tops = {part: [TopAccuracy(k, part, classes) for k in TOP] for part in parts}
        self.groups = [GroupAccuracy(CONFUSING, classes)] if groups else []
        super().__init__([*(top for tops in self.tops.values() for top in tops), *self.groups])

    def update(self, name: str, rank: int, subset: str = "", same_group: bool | None = None) -> None:
        """Adds one clip.

        name:       the clip's name
        rank:       of its own sign, from 1
        subset:     of its sign
        same_group: whether the first sign is of its sign's group; None: it has none
        """
        for part in dict.fromkeys((ALL, subset)):
            for top in self.tops.get(part, ()):
                top.update(name, rank)
        for metric in self.groups if subset == CONFUSING and same_group is not None else ():
            metric.update(name, same_group)


def best_by_group(sizes: Sequence[int]) -> float:
    """Percent of the clips that are right where the group is known and nothing besides: what hands alone can reach.

    sizes: [N] number of signs in the group of each clip's sign
    """
    return 100.0 * float(np.mean([1.0 / size for size in sizes]))
