"""How much faster the compiled DTW is than a double loop in Python with NumPy's SVD; both are measured in this run.

One pair of clips on one core, and a test set of body and both hands on all cores; the floors of the latter are for two
cores. The loop's time for the set is that for some of its pairs, scaled up, and so is the batched version's. The same
for the costs of Progressive Transformers and of SLRTP 2025, over all 50 joints of a skeleton.

    python tests/benchmarks/bench_dtw.py            prints the ratios
    python tests/benchmarks/bench_dtw.py --check    and exits with 1 when one is below its floor
"""
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from soke.metrics.dtw import dtw_jpe, dtw_jpe_pairs, dtw_of_frames, dtw_of_frames_pairs  # noqa: E402
from soke.metrics.dtw_torch import dtw_jpe_batch  # noqa: E402
from soke.metrics.joint_sets import BODY_JOINTS, HAND_JOINTS, JointSet  # noqa: E402
from tests.metrics.dtw_reference import (  # noqa: E402
    absolute_difference,
    naive_dtw_jpe,
    naive_dtw_of_frames,
    vector_distance,
)

FLOORS = {"root": 250.0, "procrustes": 40.0}
FRAMES = (200, 220)
REPEATS = 15

SET_FLOORS = {"root": 300.0, "procrustes": 60.0}
SET_PAIRS = 500
SET_FRAMES = (60, 180)  # least and most
SET_REPEATS = 3
SET_PARTS = (BODY_JOINTS, HAND_JOINTS, HAND_JOINTS)
NAIVE_PAIRS = 4  # of each part
BATCHED_PAIRS = 64

FRAME_FLOOR = 100.0  # of one pair on one core, and of a set
FRAME_COSTS = {"l1": absolute_difference, "euclidean": vector_distance}


def moving_points(rng: np.random.Generator, frames: int, joints: int) -> np.ndarray:
    """[frames, joints, 3] smooth tracks of a body's size, in metres."""
    rest = rng.normal(0.0, 0.3, (1, joints, 3))
    return rest + np.cumsum(rng.normal(0.0, 0.01, (frames, joints, 3)), axis=0)


def seconds(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Median time of `work`, and what it returns."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return float(np.median(times)), result


def verdict(ratio: float, floor: float) -> str:
    return f"{ratio:5.0f} times faster (floor {floor:.0f}{', NOT REACHED' if ratio < floor else ''})"


def one_pair(rng: np.random.Generator, joint_set: JointSet) -> bool:
    """Whether a pair of clips is scored fast enough on one core, at both alignments."""
    pred, ref = (moving_points(rng, frames, joint_set.total) for frames in FRAMES)
    joints = np.array(joint_set.scored)
    fast = True
    for align, floor in FLOORS.items():
        naive, expected = seconds(lambda: naive_dtw_jpe(pred, ref, align, joints))
        result = dtw_jpe(pred, ref, align, joints)  # compiles
        np.testing.assert_allclose(result.cost, expected, rtol=1e-9)
        compiled, _ = seconds(lambda: dtw_jpe(pred, ref, align, joints), REPEATS)
        fast &= naive / compiled >= floor
        print(
            f"{joint_set.part:4s} {align:10s} naive {naive * 1e3:7.0f} ms   compiled {compiled * 1e3:6.2f} ms   "
            f"{verdict(naive / compiled, floor)}"
        )
    return fast


def whole_set(rng: np.random.Generator) -> bool:
    """Whether a test set is scored fast enough on all cores, body and hands together, at both alignments."""
    lengths = rng.integers(SET_FRAMES[0], SET_FRAMES[1] + 1, (2, SET_PAIRS))
    parts = [
        (*([moving_points(rng, frames, part.total) for frames in side] for side in lengths), np.array(part.scored))
        for part in SET_PARTS
    ]
    frame_pairs = lengths.prod(axis=0)
    all_of = {pairs: frame_pairs.sum() / frame_pairs[:pairs].sum() for pairs in (NAIVE_PAIRS, BATCHED_PAIRS)}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fast = True
    for align, floor in SET_FLOORS.items():
        naive = compiled = batched = 0.0
        for preds, refs, joints in parts:
            pairs = list(zip(preds, refs, strict=True))[:NAIVE_PAIRS]
            duration, expected = seconds(lambda: [naive_dtw_jpe(*pair, align, joints) for pair in pairs])
            naive += duration * all_of[NAIVE_PAIRS]
            duration, results = seconds(lambda: dtw_jpe_pairs(preds, refs, align, joints), SET_REPEATS)
            compiled += duration
            np.testing.assert_allclose([result.cost for result in results[:NAIVE_PAIRS]], expected, rtol=1e-9)

            tracks = [[torch.from_numpy(t).to(device) for t in side[:BATCHED_PAIRS]] for side in (preds, refs)]
            dtw_jpe_batch(tracks[0][:2], tracks[1][:2], align, joints)  # starts the device
            duration, others = seconds(lambda: dtw_jpe_batch(*tracks, align, joints))
            batched += duration * all_of[BATCHED_PAIRS]
            np.testing.assert_allclose([o.cost for o in others], [r.cost for r in results[:BATCHED_PAIRS]], rtol=1e-9)
        fast &= naive / compiled >= floor
        print(
            f"{SET_PAIRS} pairs, {align:10s} naive {naive:5.0f} s   compiled {compiled:5.2f} s on "
            f"{numba.config.NUMBA_NUM_THREADS} cores   {verdict(naive / compiled, floor)}   "
            f"batched {batched:5.2f} s on {device}"
        )
    return fast


def frames_as_they_are(rng: np.random.Generator) -> bool:
    """Whether a pair, and a test set, of 50 joints is scored fast enough by both costs of frames that nothing aligns."""
    lengths = rng.integers(SET_FRAMES[0], SET_FRAMES[1] + 1, (2, SET_PAIRS))
    preds, refs = ([moving_points(rng, frames, 50) for frames in side] for side in lengths)
    fast = True
    for cost, of_frames in FRAME_COSTS.items():
        naive, expected = seconds(lambda: naive_dtw_of_frames(preds[0], refs[0], of_frames))
        np.testing.assert_allclose(dtw_of_frames(preds[0], refs[0], cost).cost, expected, rtol=1e-9)
        alone, _ = seconds(lambda: dtw_of_frames(preds[0], refs[0], cost), REPEATS)
        together, _ = seconds(lambda: dtw_of_frames_pairs(preds, refs, cost), SET_REPEATS)
        set_naive = naive * lengths.prod(axis=0).sum() / lengths[:, 0].prod()
        fast &= min(naive / alone, set_naive / together) >= FRAME_FLOOR
        print(
            f"{cost:9s} naive {naive * 1e3:6.0f} ms   compiled {alone * 1e3:5.2f} ms   "
            f"{verdict(naive / alone, FRAME_FLOOR)};   {SET_PAIRS} pairs {together:5.2f} s on "
            f"{numba.config.NUMBA_NUM_THREADS} cores   {verdict(set_naive / together, FRAME_FLOOR)}"
        )
    return fast


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a ratio is below its floor")
    check = parser.parse_args().check

    rng = np.random.default_rng(0)
    fast = [one_pair(rng, joint_set) for joint_set in (BODY_JOINTS, HAND_JOINTS)]
    fast += [whole_set(rng), frames_as_they_are(rng)]
    return int(check and not all(fast))


if __name__ == "__main__":
    sys.exit(main())
