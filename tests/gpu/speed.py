"""How fast training and generation are on this GPU, at the published sizes; prints a table.

python tests/gpu/speed.py           what tests/gpu/check.sh runs
python tests/gpu/speed.py --small   small models, to try the script (on a CPU too)
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from bench_dtw import BODY_JOINTS, moving_points  # noqa: E402
from bench_generate import fast, floor, make_generator, texts, timed  # noqa: E402
from bench_steps import lines  # noqa: E402

from soke.metrics.dtw import dtw_jpe_pairs  # noqa: E402
from soke.metrics.dtw_torch import dtw_jpe_batch  # noqa: E402

STEPS = 50  # of a generated video, in codes
BATCHES = (1, 8, 64, 256)
PAIRS = 256
STAGES = ("tokenizer", "generator", "translation", "regressor")  # whose steps are measured; bench_steps.py: of all
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def row(what: str, how: str, value: str, more: str) -> str:
    return f"{what:18s} {how:28s} {value:>16s}   {more}"


def generation(small: bool) -> Iterator[str]:
    kinds = [("float32", False), ("bfloat16", False)] + [("bfloat16", True)] * (DEVICE == "cuda")
    for weights, compiled in kinds:
        model = make_generator("multi_head", DEVICE, small).for_inference(weights, compiled)
        least = floor(model, DEVICE)
        for batch in BATCHES:
            fast(model, texts(batch), STEPS if compiled else 5)  # warms up, compiles
            seconds, _ = timed(partial(fast, model, texts(batch), STEPS), DEVICE, 2)
            label = f"{weights}{', compiled' if compiled else ''}, batch {batch}"
            step = seconds / STEPS
            rate = f"{batch / seconds:.1f} videos/s, {step / least:.1f}x the floor of {least * 1e3:.2f} ms"
            yield row("generate, a step", label, f"{step * 1e3:7.2f} ms", rate)
        del model
        release()


def warping(pairs: int) -> Iterator[str]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(60, 181, (2, pairs))
    preds, refs = ([moving_points(rng, frames, BODY_JOINTS.total) for frames in side] for side in lengths)
    joints = np.array(BODY_JOINTS.scored)
    tracks = [[torch.from_numpy(track).to(DEVICE) for track in side] for side in (preds, refs)]
    for align in ("root", "procrustes"):
        dtw_jpe_pairs(preds[:2], refs[:2], align, joints)
        dtw_jpe_batch(tracks[0][:2], tracks[1][:2], align, joints)
        on_cpu, expected = timed(lambda: dtw_jpe_pairs(preds, refs, align, joints), "cpu")
        there, found = timed(lambda: dtw_jpe_batch(*tracks, align, joints), DEVICE)
        np.testing.assert_allclose([f.cost for f in found], [e.cost for e in expected], rtol=1e-9)
        yield row(f"DTW, {pairs} pairs", align, f"{there:7.2f} s", f"{on_cpu:.2f} s on the CPU's cores, the same costs")


def release() -> None:
    torch._dynamo.reset()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args(arguments).small
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}")
    parts: list[Callable[[], Iterator[str]]] = [
        lambda: warping(4 if small else PAIRS), lambda: lines(not small, STAGES), lambda: generation(small)
    ]
    failed = 0
    for part in parts:
        try:
            for line in part():
                print(line, flush=True)
        except Exception as error:  # the other parts are still worth their time
            failed = 1
            print(f"FAILED: {type(error).__name__}: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
