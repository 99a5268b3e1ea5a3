"""Which clips make a batch: clips of similar length, so that hardly any padding is computed; dealt out to processes."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_NEAR = 0.04  # lengths that differ by less are one to the sampler, so that other clips meet in every epoch


def fitted_lengths(lengths: np.ndarray, shortest: int, longest: int, multiple: int = 1) -> np.ndarray:
    """How many indices `fitted_indices` gives clips of `lengths` [N]."""
    return np.clip(lengths // multiple * multiple, shortest, longest)


class GroupedBatches(Sampler[list[int]]):
    """Training batches of clips of similar length, in an order that depends on seed and epoch alone.

    An epoch has as many clips as there are: each once, or with `weights` clip i N * weights[i] / sum(weights) times on
    average; none comes again before all of its weight have come. Every epoch of every process has the same number of
    batches, and a batch is about as long for all processes. Together the processes' batches are those of one process
    whose batches are so many times larger; where one cannot be dealt out evenly, some processes have a clip less, or
    none.

    lengths:      [N], above 0; when all are equal, batches are random
    batch_size:   clips per batch
    batch_length: in place of `batch_size`: a batch, padding included, is at most so long in sum; a longer clip is a
                  batch of its own; 0: `batch_size` holds
    weights:      [N], above 0
    placed:       batches hold (clip, epoch, how often the epoch has drawn it before) in place of clips
    start:        batches that the next pass leaves out, because they were seen before an interruption
    """

    start = 0
    epoch = 0

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, batch_size: int, *, batch_length: int = 0,
        weights: Sequence[float] | np.ndarray | None = None, seed: int = 0, processes: int = 1, rank: int = 0,
        placed: bool = False,
    ):
        self.batch_size, self.batch_length, self.seed, self.placed = batch_size, batch_length, seed, placed
        self.processes, self.rank = processes, rank
        self._lengths = _rounded(np.asarray(lengths))
        self._weights = np.ones(len(lengths)) if weights is None else np.asarray(weights, dtype=float)
        self._quotas = _quotas(self._weights)
        if batch_length:  # no epoch draws longer clips than this one, so none needs more batches
            drawn = self._drawn(np.argsort(-self._lengths))
            self._count = len(self._filled(self._grouped(drawn)))
        else:
            self._count = -(-len(lengths) // (batch_size * processes))

    @property
    def never(self) -> list[float]:
        """Weights so small that no epoch has a clip of them."""
        return [weight for weight, count in self._quotas.items() if not count]

    @property
    def sampler(self) -> GroupedBatches:
        """Itself: Lightning tells the epoch to the sampler of a loader's batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        start, self.start = self.start, 0
        draw = np.random.default_rng([self.seed, self.epoch])
        clips = self._grouped(draw.permutation(self._drawn(draw.permutation(len(self._lengths)))))
        sizes = self._filled(clips, self._count) if self.batch_length else self._equal(draw)
        if self.placed:
            clips = np.stack([clips, np.full_like(clips, self.epoch), _occurrences(clips)], axis=-1)
        batches = np.split(clips, np.cumsum(sizes)[:-1])
        for i in draw.permutation(self._count)[start:]:
            yield batches[i][self.rank :: self.processes].tolist()

    def _drawn(self, order: np.ndarray) -> np.ndarray:
        """[N] clips of an epoch: of those of one weight, the first in `order` may come once more than the others."""
        return np.concatenate([np.resize(order[self._weights[order] == w], n) for w, n in self._quotas.items()])

    def _grouped(self, drawn: np.ndarray) -> np.ndarray:
        """[N] clips, the shortest first."""
        return drawn[np.argsort(self._lengths[drawn], kind="stable")]

    def _equal(self, draw: np.random.Generator) -> np.ndarray:
        """Clips per batch of all processes, as many in each but one, wherever that is: each length has its chance to be
        left over."""
        sizes = np.full(self._count, self.batch_size * self.processes)
        sizes[draw.integers(self._count)] -= sizes.sum() - len(self._lengths)
        return sizes

    def _filled(self, clips: np.ndarray, count: int = 0) -> np.ndarray:
        """Clips per batch of all processes, a number for each that `batch_length` allows; the largest batches are halved
        until there are `count`. The last may be of fewer."""
        sizes: list[int] = []  # in each process
        last = np.append(np.arange(self.processes - 1, len(clips) - 1, self.processes), len(clips) - 1)
        for length in self._lengths[clips[last]].tolist():
            if sizes and (sizes[-1] + 1) * length <= self.batch_length:
                sizes[-1] += 1
            else:
                sizes.append(1)
        while len(sizes) < count:
            i = int(np.argmax(sizes))
            sizes[i : i + 1] = [sizes[i] // 2, sizes[i] - sizes[i] // 2]
        return np.array(sizes) * self.processes


class SortedBatches(Sampler[list[int]]):
    """Every clip once, the longest first, so that lack of memory shows at once.

    Processes have equally many batches; the last of some may be empty, or shorter than that of others.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, processes: int = 1, rank: int = 0):
        order = np.argsort(-np.asarray(lengths), kind="stable")
        count = -(-len(order) // (batch_size * processes))
        own = order[rank::processes].tolist()
        self._batches = [own[i * batch_size : (i + 1) * batch_size] for i in range(count)]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)


def _rounded(lengths: np.ndarray) -> np.ndarray:
    """[N] -> [N], each the longest of those that it is near to."""
    _, group = np.unique(np.floor(np.log(lengths) / np.log1p(_NEAR)), return_inverse=True)
    longest = np.zeros(group.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(longest, group, lengths)
    return longest[group]


def _occurrences(drawn: np.ndarray) -> np.ndarray:
    """For each entry, how many equal ones stand before it."""
    order = np.argsort(drawn, axis=None, kind="stable")
    _, first, counts = np.unique(drawn.ravel()[order], return_index=True, return_counts=True)
    found = np.empty(drawn.size, dtype=np.int64)
    found[order] = np.arange(drawn.size) - np.repeat(first, counts)
    return found.reshape(drawn.shape)


def _quotas(weights: np.ndarray) -> dict[float, int]:
    """Weight -> how many of N clips an epoch draws from those of this weight."""
    values, counts = np.unique(weights, return_counts=True)
    exact = len(weights) * values * counts / (values * counts).sum()
    quotas = np.floor(exact).astype(int)
    quotas[np.argsort(quotas - exact, kind="stable")[: len(weights) - quotas.sum()]] += 1
    return dict(zip(values.tolist(), quotas.tolist()))
