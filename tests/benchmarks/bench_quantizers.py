"""Training steps with finite scalar quantization against those with a codebook of moving averages; all in this run, of
toy data.

    python tests/benchmarks/bench_quantizers.py            prints the numbers
    python tests/benchmarks/bench_quantizers.py --check    and exits with 1 when one misses its bound

The autoencoder is that of M3T's face at the published size, 119 million weights, 512 codes either way: FSQ on latents of
three dimensions, the codebook on SOKE's 512. A step is forward, backward and Adam on a batch of `CLIPS` clips of `FRAMES`
frames; the quantizers alone get the latents of a batch of 8 clips of 128 frames, in one thread, for on a busy machine
the codebook's many small steps wait for each other. The ways take turns.
"""
from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from soke.build.body import layout_of  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from soke.tokenizer.part import PartAutoencoder, ValidSteps  # noqa: E402
from soke.tokenizer.quantizers import new_quantizer  # noqa: E402
from soke.tokenizer.settings import AutoencoderSettings, Ema  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402

CLIPS, FRAMES, ROUNDS = 2, 32, 3
LATENTS, QUANTIZATIONS = (8, 32), 20  # clips and steps; how often they are quantized in a round
MAX_STEP = 1.1  # a step with FSQ over one with a codebook
MIN_QUANTIZER = 2.0  # the codebook alone over FSQ alone


def settings_of() -> tuple[int, dict[str, AutoencoderSettings]]:
    """Number of features; way -> settings of the face."""
    config = load_config("configs/m3t_tokenizer.yaml")
    fsq = config.tokenizer.autoencoders(config.parts)["face"]
    codes = Ema(codes=fsq.quantizer.sizes[0], decay=config.tokenizer.ema.decay)
    return layout_of(config).sizes["face"], {"FSQ": fsq, "EMA": replace(fsq, quantizer=codes, code_dim=512)}


class Training:
    """Steps of an autoencoder on random features."""

    def __init__(self, features: int, settings: AutoencoderSettings):
        self.autoencoder = PartAutoencoder(torch.zeros(features), torch.ones(features), settings).train()
        self.optimizer = torch.optim.Adam(self.autoencoder.parameters(), lr=2e-4)
        self.batch = torch.randn(CLIPS, FRAMES, features)
        steps = FRAMES // settings.downsample
        self.steps = ValidSteps.of(torch.full((CLIPS,), steps), [steps] * CLIPS, CLIPS, steps, self.batch.device)

    def step(self) -> None:
        rebuilt, quantized = self.autoencoder(self.batch, self.steps)
        loss = torch.nn.functional.mse_loss(rebuilt, self.batch) + 0.02 * quantized.commitment + quantized.loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def quantization(settings: AutoencoderSettings) -> Callable[[], None]:
    """Forward and backward of a quantizer alone, which learns where it does."""
    quantizer, (clips, steps) = new_quantizer(settings.quantizer, settings.code_dim).train(), LATENTS

    def work() -> None:
        for _ in range(QUANTIZATIONS):
            latents = torch.randn(clips, settings.code_dim, steps, requires_grad=True)
            found = quantizer(latents)
            (found.quantized.sum() + found.commitment).backward()

    return work


def medians(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Seconds of each way: medians over rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, work in ways.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(own[1:]) for name, own in seconds.items()}  # the first round warms up


def results() -> Iterator[tuple[str, str, bool]]:
    """What was found, its bound, and whether that is reached."""
    features, ways = settings_of()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = medians({name: quantization(settings) for name, settings in ways.items()})
    torch.set_num_threads(threads)
    ratio = alone["EMA"] / alone["FSQ"]
    line = f"quantizing {LATENTS[0]} x {LATENTS[1]} latents: FSQ {1000 * alone['FSQ'] / QUANTIZATIONS:.2f} ms, EMA "
    line += f"{1000 * alone['EMA'] / QUANTIZATIONS:.2f} ms, {ratio:.1f} times as long"
    yield line, f"at least {MIN_QUANTIZER:g}", ratio >= MIN_QUANTIZER
    trainings = {name: Training(features, settings) for name, settings in ways.items()}
    millions = sum(p.numel() for p in trainings["FSQ"].autoencoder.parameters()) / 1e6
    steps = medians({name: training.step for name, training in trainings.items()})
    ratio = steps["FSQ"] / steps["EMA"]
    line = f"a step of {millions:.1f} million weights, {CLIPS} x {FRAMES} frames: FSQ {steps['FSQ']:.2f} s, EMA "
    line += f"{steps['EMA']:.2f} s, {ratio:.2f} times as long"
    yield line, f"at most {MAX_STEP:g}", ratio <= MAX_STEP


if __name__ == "__main__":
    sys.exit(checked(results, __doc__))
