"""How much faster the points that are scored come from the few vertices they need than from the whole mesh, for SMPL-X
and for SMPL-FX on one core; both ways are measured in this run.

    python tests/benchmarks/bench_body.py            prints the ratios
    python tests/benchmarks/bench_body.py --check    and exits with 1 when one is below its floor
"""
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from soke.body.model import load_body_model, load_smplfx  # noqa: E402
from soke.body.motion import Motion  # noqa: E402

FLOORS = {"body": 8.0, "left_hand": 12.0, "face": 4.0}
FRAMES = 128
REPEATS = 5


def seconds(work: Callable[[], object]) -> float:
    """Median time, after one run that prepares what is kept."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def motion() -> Motion:
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(shape, generator=generator)

    return Motion(
        noise(FRAMES, 55, 3), noise(FRAMES, 100), noise(10), 25.0, noise(FRAMES, 2), head_shape=noise(300)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    moving, fast = motion(), True
    models = ROOT / "deps" / "smpl_models"
    for name, body in (("SMPL-X", load_body_model(models)), ("SMPL-FX", load_smplfx(models))):
        whole = seconds(lambda: body.surface(moving))
        print(f"{name}: whole mesh, {FRAMES} frames: {1e3 * whole:.0f} ms")
        for points, floor in FLOORS.items():
            few = seconds(lambda: body.track(moving, [points]))
            ratio = whole / few
            fast &= ratio >= floor
            print(
                f"  {points:9s} {1e3 * few:6.1f} ms   {ratio:5.1f} times faster (floor {floor:g}"
                f"{', NOT REACHED' if ratio < floor else ''})"
            )
    return int(check and not fast)


if __name__ == "__main__":
    sys.exit(main())
