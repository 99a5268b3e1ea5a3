"""How much of training is padding, with batches of similar length and at random; all in this run, of toy data.

    python tests/benchmarks/bench_training.py            prints the numbers
    python tests/benchmarks/bench_training.py --check    and exits with 1 when one misses its bound

Lengths are drawn from the quantiles below, for as many clips as the three corpora have for training. The frames that an
epoch computes are counted over the whole epoch. Seconds are measured on steps of a tokenizer of the published size: a
batch of 320 takes a minute on a CPU, so `TIMED` batches from all over the epoch are thinned out to `TIMED_CLIPS` clips,
random and grouped in turn; an epoch takes their seconds per computed frame times its frames.
"""
from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from soke.build.body import layout_of  # noqa: E402
from soke.data.sampling import GroupedBatches, fitted_lengths  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from soke.tokenizer.losses import reconstruction  # noqa: E402
from soke.tokenizer.tokenizer import SignTokenizer  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402

# Frames of a clip at every 20th part of its corpus, from the shortest. CSL-Daily (30 frames/s), Phoenix-2014T (25): all
# clips of the public dev splits, which give the number of frames. How2Sign: 398 clips of its realigned annotation
# below 30 s, END - START at 24 frames/s.
QUANTILES = {
    "how2sign": [3, 26, 41, 53, 63, 75, 89, 103, 118, 133, 142, 158, 171, 191, 209, 229, 252, 308, 347, 430, 651],
    "csl": [33, 59, 68, 76, 84, 89, 95, 101, 106, 112, 117, 124, 129, 137, 143, 149, 159, 167, 182, 208, 339],
    "phoenix": [16, 40, 50, 60, 67, 76, 83, 89, 94, 100, 105, 111, 115, 121, 127, 135, 144, 155, 165, 184, 272],
}
CLIPS = {"how2sign": 31_000, "csl": 18_401, "phoenix": 7_096}  # of the training splits
TIMED, TIMED_CLIPS = 2, 16
ROUNDS = 5
MAX_PADDED = 1.06  # computed over real frames of an epoch
MIN_SPEEDUP = 2.0  # of the tokenizer's steps
MAX_MASKED = 1.1  # a step with padding over one of as many frames without


def lengths_of(corpora: list[str]) -> np.ndarray:
    """Frames of every clip, by the default length rules."""
    draw, shares = np.random.default_rng(0), np.linspace(0, 1, 21)
    frames = [np.interp(draw.random(CLIPS[name]), shares, QUANTILES[name]).astype(int) for name in corpora]
    return fitted_lengths(np.concatenate(frames), 40, 400, 4)


def epoch(lengths: np.ndarray, batch_size: int, grouped: bool) -> list[np.ndarray]:
    """The lengths of every batch."""
    known = lengths if grouped else np.full(len(lengths), 400)
    return [lengths[batch] for batch in GroupedBatches(known, batch_size)]


def computed(batches: list[np.ndarray]) -> int:
    """Frames of all batches, with padding."""
    return sum(len(batch) * int(batch.max()) for batch in batches)


def thinned(batches: list[np.ndarray]) -> list[np.ndarray]:
    """`TIMED` of the batches, from those of short to those of long clips, and `TIMED_CLIPS` clips of each, likewise."""
    batches = sorted(batches, key=max)
    chosen = [batches[int((i + 0.5) * len(batches) / TIMED)] for i in range(TIMED)]
    return [np.sort(batch)[np.linspace(0, len(batch) - 1, TIMED_CLIPS).round().astype(int)] for batch in chosen]


def published_tokenizer() -> SignTokenizer:
    """As configs/deto.yaml has it, with statistics of nothing."""
    config = load_config("configs/deto.yaml")
    layout, settings = layout_of(config), config.tokenizer.autoencoders(config.parts)
    mean, std = ({p: value(layout.sizes[p]) for p in settings} for value in (torch.zeros, torch.ones))
    return SignTokenizer(layout, mean, std, settings).train()


class Training:
    """Steps of the tokenizer on random motion."""

    def __init__(self) -> None:
        self.tokenizer = published_tokenizer()
        self.optimizer = torch.optim.AdamW(self.tokenizer.parameters(), lr=2e-4)

    def step(self, lengths: np.ndarray) -> None:
        frames = lengths.tolist()
        sizes = self.tokenizer.layout.sizes
        features = {part: torch.randn(len(frames), max(frames), size) for part, size in sizes.items()}
        output = self.tokenizer(features, torch.tensor(frames), frames)
        loss = reconstruction(output.reconstruction, output.target, output.masks)
        self.optimizer.zero_grad()
        (loss + 0.02 * sum(output.commitment.values())).backward()
        self.optimizer.step()

    def medians(self, *ways: list[np.ndarray]) -> list[float]:
        """Seconds of the batches of each way: medians over rounds in which the ways take turns."""
        seconds: list[list[float]] = [[] for _ in ways]
        for _ in range(ROUNDS + 1):
            for own, batches in zip(seconds, ways):
                own.append(timed(lambda: [self.step(batch) for batch in batches]))
        return [statistics.median(own[1:]) for own in seconds]  # the first round warms up


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def results() -> Iterator[tuple[str, str, bool]]:
    """What was found, its bound, and whether that is reached."""
    every = lengths_of(list(QUANTILES))
    stages = {
        "tokenizer, batches of 320": (every, 320), "generator, batches of 32 codes": (every // 4, 32),
        **{f"back-translation of {name}, batches of 32": (lengths_of([name]), 32) for name in QUANTILES},
    }
    for stage, (lengths, size) in stages.items():
        grouped, random = (computed(epoch(lengths, size, kind)) / lengths.sum() for kind in (True, False))
        line = f"{stage}: {grouped:.3f} of what is there is computed, {random:.2f} at random"
        yield line, f"at most {MAX_PADDED:g}", grouped <= MAX_PADDED

    training = Training()
    plain, masked = training.medians([np.full(16, 128)], [np.array([128, *range(44, 104, 4)])])
    line = f"a step of 16 x 128 frames: {plain:.2f} s, with padding {masked:.2f} s, {masked / plain:.2f} times as long"
    yield line, f"at most {MAX_MASKED:g}", masked <= MAX_MASKED * plain

    epochs = [epoch(every, 320, grouped) for grouped in (True, False)]
    samples = [thinned(batches) for batches in epochs]
    seconds = training.medians(*samples)
    grouped, random = (s / computed(few) * computed(all_) for s, few, all_ in zip(seconds, samples, epochs))
    line = f"an epoch of {len(every):,} clips of {every.mean():.0f} frames on average: {grouped / 3600:.1f} h, "
    line += f"{random / 3600:.1f} h at random, {random / grouped:.2f} times faster"
    yield line, f"at least {MIN_SPEEDUP:g}", random >= MIN_SPEEDUP * grouped


if __name__ == "__main__":
    sys.exit(checked(results, __doc__))
