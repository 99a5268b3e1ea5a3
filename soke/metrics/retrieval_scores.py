"""Scores of retrieval between sentences and motions: recall among the first, median rank, similarity, as torchmetrics."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soke.metrics.clips import ClipMetric, Scorecard, clip_id
from soke.metrics.signature import Signature

FIRST = (1, 5, 10)
DIRECTIONS = ("text→motion", "motion→text")
_ALIKE = 1e-6  # embeddings are of single precision
_ROWS = 1024  # queries that are compared with all clips at once


def ranks_of(similarity: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Place of the best right candidate of every query, from 1. Wrong ones that are as similar as it, to a millionth, come
    before it, so that candidates which are all alike are found last, not first.

    similarity: [N, M] of N queries and M candidates
    right:      [N, M] bool, at least one of each query

    Raises ValueError for similarities that are not finite, and a query without a right candidate.
    """
    if not np.isfinite(similarity).all():
        raise ValueError("a similarity is NaN or infinite")
    if not right.any(axis=1).all():
        raise ValueError("a query has no right candidate")
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((similarity >= best - _ALIKE) & ~right).sum(axis=1)


def pools_of(names: Sequence[str], size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers of queries and of their `size` candidates, group by group. Every clip is a query once, among the candidates
    of its own group; the last group is filled up from the first. Which clips are a group depends on their names alone.
    None where all clips together are no more than a pool.
    """
    if len(names) <= size:
        return []
    order = np.array(sorted(range(len(names)), key=lambda i: clip_id(names[i])))
    starts = range(0, len(order), size)
    return [(order[s : s + size], order.take(range(s, s + size), mode="wrap")) for s in starts]


class Recall(ClipMetric):
    """R@k: percent of the clips that are found among the first k candidates. A clip is right for every query of the same
    text.

    k:          how many
    direction:  whether the text asks for the motion, or the motion for the text
    candidates: number of clips that are chosen from
    judge:      hash of the model
    pool:       whether the candidates are a pool, not all clips
    """

    higher_is_better = True

    def __init__(self, k: int, direction: str, candidates: int, judge: str, pool: bool = False) -> None:
        part = _part(direction, candidates, pool)
        super().__init__([Signature(f"R@{k}", part, units=("percent",), judge=judge, candidates=candidates)], 1)
        self.k = k

    def update(self, name: str, rank: int) -> None:
        """rank: of the clip's best right candidate, from 1"""
        self._add(name, np.array([100.0 * (rank <= self.k)]))


class MedianRank(ClipMetric):
    """Median over the clips of the rank at which each is found; args as of `Recall`."""

    def __init__(self, direction: str, candidates: int, judge: str, pool: bool = False) -> None:
        part = _part(direction, candidates, pool)
        super().__init__([Signature("median rank", part, units=("rank",), judge=judge, candidates=candidates)], 1)

    def update(self, name: str, rank: int) -> None:
        """As of `Recall`."""
        self._add(name, np.array([rank]))

    def _aggregate(self, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
        order = np.argsort(statistics[:, 0], kind="stable")
        reached = counts[:, order].cumsum(axis=1)
        clips = reached[:, -1:]  # the median is the mean of these two, which are one where their number is odd
        places = [(reached < np.floor((clips + more) / 2)).sum(axis=1) for more in (1, 2)]
        return sum(statistics[order][place] for place in places) / 2


def _part(direction: str, candidates: int, pool: bool) -> str:
    return f"{direction} of {candidates}" if pool else direction


class Similarity(ClipMetric):
    """Mean over clips of the cosine between a motion's embedding and that of its sentence, or of the signer's motion.

    judge: hash of the model
    """

    higher_is_better = True

    def __init__(self, judge: str) -> None:
        names = ("to its sentence", "to the signer's")
        super().__init__([Signature("similarity", part, units=("cosine",), judge=judge) for part in names], 2)

    def update(self, name: str, to_text: float, to_reference: float) -> None:
        self._add(name, np.array([to_text, to_reference]))


class RetrievalScores(Scorecard):
    """Every score of the motions of one system on one corpus, by one model.

    Ranks are of all clips together: every process gives all embeddings, and adds the clips that are its own.

    names:   of N clips
    judge:   hash of the model
    pool:    number of candidates of the smaller pools, see `pools_of`
    """

    def __init__(self, names: Sequence[str], judge: str, pool: int) -> None:
        self.names, self.pools = list(names), pools_of(names, pool)
        kinds = [(len(self.names), False), *[(pool, True)] * bool(self.pools)]
        self._of = {
            (direction, among): [
                *(Recall(k, direction, size, judge, among) for k in FIRST), MedianRank(direction, size, judge, among)
            ]
            for direction in DIRECTIONS for size, among in kinds
        }
        self.similarity = Similarity(judge)
        super().__init__([self.similarity, *(metric for metrics in self._of.values() for metric in metrics)])

    def update(
        self, motions: np.ndarray, texts: np.ndarray, references: np.ndarray, sentences: Sequence[str],
        own: Sequence[int],
    ) -> None:
        """motions:    [N, D] embeddings of length 1 of the system's motions
        texts:      [N, D] of the sentences
        references: [N, D] of the signers' motions
        sentences:  N
        own:        numbers of the clips that this process scores
        """
        numbers = {text: number for number, text in enumerate(dict.fromkeys(sentences))}
        ids, own = np.array([numbers[text] for text in sentences]), np.array(own, dtype=np.int64)
        texts, motions, references = (values.astype(np.float64) for values in (texts, motions, references))
        everything = [(part, np.arange(len(ids))) for part in np.split(own, range(_ROWS, len(own), _ROWS))]
        pools = [(queries[np.isin(queries, own)], candidates) for queries, candidates in self.pools]
        for (direction, among), metrics in self._of.items():
            asked, found = (texts, motions) if direction == DIRECTIONS[0] else (motions, texts)
            for queries, candidates in pools if among else everything:
                ranks = ranks_of(asked[queries] @ found[candidates].T, ids[queries, None] == ids[candidates])
                for i, rank in zip(queries.tolist(), ranks.tolist()):
                    for metric in metrics:
                        metric.update(self.names[i], rank)
        cosines = np.stack([(of * motions).sum(axis=1) for of in (texts, references)], axis=1)
        for i in own.tolist():
            self.similarity.update(self.names[i], *cosines[i])
