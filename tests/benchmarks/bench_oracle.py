"""How much faster the oracle finds the signs of a motion than the same loops in Python, and how long 500 clips take.

    python tests/benchmarks/bench_oracle.py            prints the ratio, and seconds
    python tests/benchmarks/bench_oracle.py --check    and exits with 1 when the ratio is below its floor
"""
from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from soke.data.synthetic.corpora import plan_corpus  # noqa: E402
from soke.data.synthetic.known import KnownCorpus  # noqa: E402
from soke.data.synthetic.vocabularies import ENGLISH  # noqa: E402
from soke.evaluation.oracle.decoding import cheapest_signs  # noqa: E402
from soke.evaluation.oracle.reader import Oracle  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402

FLOOR = 50.0  # times faster
CLIPS, FORMS, MOMENTS, FRAMES = 500, 270, 9, 80  # of the demo's corpora


def results() -> Iterator[tuple[str, str, bool]]:
    rng = np.random.default_rng(0)
    costs, bounds = rng.random((FRAMES, FORMS * MOMENTS)), np.arange(0, FORMS * MOMENTS + 1, MOMENTS)
    cheapest_signs(costs, bounds, 0.3, 0.3)  # compiles
    start = time.perf_counter()
    for _ in range(20):
        fast = cheapest_signs(costs, bounds, 0.3, 0.3)
    middle = time.perf_counter()
    slow = cheapest_signs.py_func(costs, bounds, 0.3, 0.3)
    ratio = 20 * (time.perf_counter() - middle) / (middle - start)
    assert np.array_equal(fast[1], slow[1]) and np.isclose(fast[0], slow[0])
    yield f"signs of one clip: {ratio:.0f} times faster than loops in Python", f"floor {FLOOR:.0f}", ratio >= FLOOR
    planned = plan_corpus(ENGLISH, {"train": 20, "val": 1, "test": 1}, 1, lambda *of: (f"{of}", 25.0), pool=4000)
    oracle = Oracle(KnownCorpus(planned, {}))
    motions = [planned.perform(take) for take in planned.takes[:20]]
    oracle.signs(motions[:1])
    start = time.perf_counter()
    oracle.signs(motions)
    seconds = (time.perf_counter() - start) * CLIPS / len(motions)
    yield f"{CLIPS} clips are read in {seconds:.1f} s", "at most 120 s", seconds <= 120


if __name__ == "__main__":
    raise SystemExit(checked(results, __doc__))
