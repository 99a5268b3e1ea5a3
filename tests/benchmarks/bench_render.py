"""Frames per second of both renderers, and how much faster the compiled z-buffer is than a loop over triangles in
Python with NumPy inside; all are measured in this run, on a mesh as large as SMPL-X at 512 x 512.

    python tests/benchmarks/bench_render.py            prints the rates and the ratio
    python tests/benchmarks/bench_render.py --check    and exits with 1 when the ratio is below its floor
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from soke.render.backends import make_renderer, vtk_problem  # noqa: E402
from soke.render.camera import Camera  # noqa: E402
from soke.render.raster import project, rasterize  # noqa: E402
from tests.render.shapes import make_ball  # noqa: E402

FLOOR = 100.0
SIZE = 512
FRAMES = 30
CAMERA = Camera((0.0, 0.0, 2.2))


def naive_rasterize(points: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Index of the nearest face under each pixel [size, size], one triangle after the other."""
    index, nearness = np.full((size, size), -1), np.zeros((size, size), dtype=np.float32)
    for f, corners in enumerate(points[faces]):
        (x0, y0, n0), (x1, y1, n1), (x2, y2, n2) = corners
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        low = np.ceil(corners[:, :2].min(0) - 0.5).astype(int).clip(0)
        high = np.floor(corners[:, :2].max(0) - 0.5).astype(int).clip(max=size - 1)
        if area == 0 or (low > high).any():
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1) + 0.5, np.arange(low[1], high[1] + 1) + 0.5)
        w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
        w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
        w2 = 1.0 - w0 - w1
        n = (w0 * n0 + w1 * n1 + w2 * n2).astype(np.float32)
        box = np.s_[low[1] : high[1] + 1, low[0] : high[0] + 1]
        front = (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (n > nearness[box])
        index[box][front], nearness[box][front] = f, n[front]
    return index


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the ratio is below its floor")
    check = parser.parse_args().check

    vertices, faces = make_ball((0.0, 0.0, 0.0), (0.22, 0.42, 0.15), rows=72)
    colors = np.full_like(vertices, 0.7)
    print(f"{len(vertices)} vertices, {len(faces)} faces, {SIZE} x {SIZE}")
    for backend in ("software", "vtk"):
        if backend == "vtk" and vtk_problem() is not None:
            print(f"vtk       {vtk_problem()}")
            continue
        renderer = make_renderer((SIZE, SIZE), CAMERA, backend)
        renderer.draw(vertices, faces, colors)  # compiles, or opens the window
        started = time.perf_counter()
        for frame in range(FRAMES):
            renderer.draw(vertices + np.float32(1e-3 * frame), faces, colors)
        print(f"{backend:9s} {FRAMES / (time.perf_counter() - started):6.1f} frames/s")
        renderer.close()

    points = project(vertices, np.asarray(CAMERA.position), CAMERA.focal(SIZE), SIZE, SIZE)
    started = time.perf_counter()
    expected = naive_rasterize(points, faces, SIZE)
    naive = time.perf_counter() - started
    rasterize(points, faces, SIZE, SIZE)
    times = []
    for _ in range(FRAMES):
        started = time.perf_counter()
        index, _ = rasterize(points, faces, SIZE, SIZE)
        times.append(time.perf_counter() - started)
    np.testing.assert_array_equal(index, expected)
    ratio = naive / float(np.median(times))
    print(
        f"z-buffer  naive {naive * 1e3:.0f} ms, compiled {np.median(times) * 1e3:.2f} ms: {ratio:.0f} times faster "
        f"(floor {FLOOR:.0f}{', NOT REACHED' if ratio < FLOOR else ''})"
    )
    return int(check and ratio < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
