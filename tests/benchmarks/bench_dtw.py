"""How much faster the compiled DTW is than a double loop in Python with NumPy's SVD; both are measured in this run.

    python tests/benchmarks/bench_dtw.py            prints the ratios
    python tests/benchmarks/bench_dtw.py --check    and exits with 1 when one is below its floor
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "metrics")]

from dtw_reference import naive_dtw_jpe  # noqa: E402

from soke.metrics.dtw import dtw_jpe  # noqa: E402
from soke.metrics.joint_sets import JOINT_SETS  # noqa: E402

FLOORS = {"root": 250.0, "procrustes": 40.0}
FRAMES = (200, 220)
REPEATS = 15


def moving_points(rng: np.random.Generator, frames: int, joints: int) -> np.ndarray:
    """[frames, joints, 3] smooth tracks of a body's size, in metres."""
    rest = rng.normal(0.0, 0.3, (1, joints, 3))
    return rest + np.cumsum(rng.normal(0.0, 0.01, (frames, joints, 3)), axis=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a ratio is below its floor")
    check = parser.parse_args().check

    rng = np.random.default_rng(0)
    slow = False
    for joint_set in JOINT_SETS.values():
        pred, ref = (moving_points(rng, frames, joint_set.total) for frames in FRAMES)
        joints = np.array(joint_set.scored)
        for align, floor in FLOORS.items():
            started = time.perf_counter()
            expected = naive_dtw_jpe(pred, ref, align, joints)
            naive = time.perf_counter() - started

            result = dtw_jpe(pred, ref, align, joints)  # compiles
            np.testing.assert_allclose(result.cost, expected, rtol=1e-9)
            times = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                dtw_jpe(pred, ref, align, joints)
                times.append(time.perf_counter() - started)
            compiled = float(np.median(times))
            ratio = naive / compiled
            slow |= ratio < floor
            print(
                f"{joint_set.part:4s} {align:10s} naive {naive * 1e3:7.0f} ms   compiled {compiled * 1e3:6.2f} ms   "
                f"{ratio:5.0f} times faster (floor {floor:.0f}{', NOT REACHED' if ratio < floor else ''})"
            )
    return int(check and slow)


if __name__ == "__main__":
    sys.exit(main())
