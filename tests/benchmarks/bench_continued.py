"""What it costs that a test can go on after an interruption, and what it saves that codes are written of clips of similar
length together; all in this run.

    python tests/benchmarks/bench_continued.py            prints the numbers
    python tests/benchmarks/bench_continued.py --check    and exits with 1 when one misses its bound
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from soke.data.clip import Clip  # noqa: E402
from soke.data.sampling import SortedBatches  # noqa: E402
from soke.evaluation.unfinished import Unfinished  # noqa: E402
from soke.generator.producer import SignProducer  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from soke.tokenizer.tokenizer import SignTokenizer  # noqa: E402
from tests.benchmarks.bench_generate import make_generator, texts  # noqa: E402
from tests.data.writing import LAYOUT, random_motion  # noqa: E402

MAX_COST = 0.03  # of the seconds of a small generator, 256 wide, which is much faster than mBART-large
MIN_RATIO = 1.2  # of the seconds in the order of the corpus
BATCH = 32


def tokenizer_of(file: str) -> SignTokenizer:
    """With random weights."""
    config, sizes = load_config(file), LAYOUT.sizes.items()
    mean, std = ({part: torch.full((size,), value) for part, size in sizes} for value in (0.0, 1.0))
    torch.manual_seed(0)
    return SignTokenizer(LAYOUT, mean, std, config.tokenizer.autoencoders(config.parts)).eval()


def kept(folder: Path) -> tuple[float, float]:
    """Seconds of generating a batch of sentences, and of keeping it, the median of several."""
    tokenizer = tokenizer_of("configs/demo/deto.yaml")
    generator = make_generator("multi_head", "cpu", True, tokenizer.hash)
    producer = SignProducer(generator, tokenizer, batch_size=BATCH)
    clips = [Clip(f"c{i}", "own", "test", "ASL", text, Path(), 24.0) for i, text in enumerate(texts(BATCH))]
    signed = [random_motion(120, seed=i) for i in range(BATCH)]
    producer.produce(clips)  # for warmth
    started = time.perf_counter()
    motions = producer.produce(clips)
    plain, costs = time.perf_counter() - started, []
    ready = SimpleNamespace(name="ready", conditions={}, produce=lambda clips: motions)
    for number in range(9):
        started = time.perf_counter()
        Unfinished(folder, {"number": number}).produced(ready, clips, signed)
        costs.append(time.perf_counter() - started)
    return plain, float(np.median(costs))


@torch.no_grad()
def encoding() -> tuple[float, float]:
    """Seconds of encoding clips in their order, and by length; lengths are spread as How2Sign's are."""
    tokenizer, draw = tokenizer_of("configs/demo/deto.yaml"), np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(4.9, 0.6, 512).astype(int) // 4 * 4, 40, 400)
    in_order = [list(range(start, start + BATCH)) for start in range(0, len(lengths), BATCH)]
    seconds = []
    for batches in (in_order[:2], in_order, list(SortedBatches(lengths, BATCH))):
        started = time.perf_counter()
        for rows in batches:
            frames = torch.tensor(lengths[rows])
            features = {part: torch.zeros(len(rows), int(frames.max()), size) for part, size in LAYOUT.sizes.items()}
            tokenizer.encode(features, frames)
        seconds.append(time.perf_counter() - started)
    return seconds[1], seconds[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a number misses its bound")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        plain, cost = kept(Path(folder))
    in_order, by_length = encoding()
    lines = [
        (f"a batch of {BATCH} sentences: {plain:.2f} s, to keep it {cost:.3f} s, {100 * cost / plain:.1f} %",
         f"at most {100 * MAX_COST:.0f} %", cost <= MAX_COST * plain),
        (f"codes of 512 clips: in order {in_order:.1f} s, by length {by_length:.1f} s, {in_order / by_length:.2f} times faster",
         f"at least {MIN_RATIO}", in_order >= MIN_RATIO * by_length),
    ]
    for line, bound, reached in lines:
        print(f"{line} ({bound}{'' if reached else ', NOT REACHED'})")
    return int(check and not all(reached for _, _, reached in lines))


if __name__ == "__main__":
    sys.exit(main())
