"""Sizes of a ten-second sentence as GLB and as a web page, the seconds to write them, and how far the skinned figure is
from the exact surface; beside them the size of that surface frame by frame, gzipped.

    python -m tests.benchmarks.bench_exports            prints them
    python -m tests.benchmarks.bench_exports --check    and exits with 1 when one misses its bound
"""
from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from soke.body.model import load_body_model, load_smplfx
from soke.data.synthetic.corpora import plan_corpora
from soke.data.synthetic.recordings import FaceRecorder
from soke.render.exports import Shown, write
from soke.run.config import ROOT

FRAMES, FPS = 240, 24.0
MOST_KB = {("SMPL-X", "glb"): 900, ("SMPL-FX", "glb"): 1400, ("SMPL-X", "html"): 600, ("SMPL-FX", "html"): 1000}
MOST_MM, MEAN_MM = 3.0, 0.05
SMALLER = 8  # times, than the surface frame by frame


def results() -> Iterator[tuple[str, str, bool]]:
    corpora = plan_corpora("demo", 7)
    clip = FaceRecorder(corpora, 7).record(corpora[1], corpora[1].takes[1]).smplfx.resampled(FPS)
    clip = clip.frames(torch.arange(FRAMES) % len(clip))
    root = ROOT / "deps" / "smpl_models"
    ten = replace(clip, expression=clip.expression[:, :10], eyelids=None, head_shape=None)
    for name, body, motion in (("SMPL-X", load_body_model(root), ten), ("SMPL-FX", load_smplfx(root), clip)):
        shown = Shown(body, {"signer": motion}, "a sentence")
        exact = body.surface(motion)
        most, mean = (1000 * off for off in shown.rigs["signer"].deviation(exact))
        yield (
            f"{name:8s} skinned figure off its surface: at most {most:.2f} mm, {mean:.4f} mm on average",
            f"<= {MOST_MM:g} and {MEAN_MM:g}", most <= MOST_MM and mean <= MEAN_MM,
        )
        whole = len(gzip.compress(np.rint(1e4 * exact.numpy()).astype(np.int16).tobytes())) / 1000  # in tenths of mm
        with tempfile.TemporaryDirectory() as folder:
            for format in ("glb", "html"):
                fresh = replace(shown)  # what a first writing computes, too
                started = time.perf_counter()
                (path,) = write(format, Path(folder) / "clip", fresh)
                seconds, size = time.perf_counter() - started, path.stat().st_size / 1000
                bound = MOST_KB[name, format]
                yield (
                    f"{name:8s} {format:5s} {size:5.0f} kB, {whole / size:3.0f} times smaller than the surface by "
                    f"frames, in {seconds:.1f} s", f"<= {bound} kB, >= {SMALLER} times",
                    size <= bound and whole >= SMALLER * size,
                )


if __name__ == "__main__":
    from tests.benchmarks.bounds import checked

    sys.exit(checked(results, __doc__))
