"""How much faster packed poses are than frame files, and what the training loader delivers; all in this run.

    python tests/benchmarks/bench_data.py            prints the numbers
    python tests/benchmarks/bench_data.py --check    and exits with 1 when one misses its bound
"""
from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from prepare.pack_poses import pack  # noqa: E402
from soke.data.corpora.phoenix14t import Phoenix14T  # noqa: E402
from soke.data.datamodule import SignDataModule  # noqa: E402
from soke.data.dataset import MotionDataset  # noqa: E402
from soke.data.settings import Augment  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from tests.data.writing import LAYOUT, random_motion, write_entries, write_frames  # noqa: E402

CLIPS = 2000
SAMPLED = 300  # clips that are read for the ratio
WORKERS = 2
EPOCHS = 3
MIN_RATIO = 50.0  # clips per second, warm, against frame files
MIN_FRAMES_PER_WORKER = 20_000.0  # per second, of the whole training loader
MIN_AUGMENTED = 1_000.0  # the same with every augmentation, of which rotations between frames take nearly all the time
MAX_GROWTH = 50.0  # MiB of resident memory per loader process, first epoch to last


def write_corpus(root: Path) -> None:
    """`CLIPS` clips of 60 to 180 frames, of which 20 motions stand for all."""
    lengths = np.random.default_rng(0).integers(60, 181, 20)
    motions = [random_motion(int(length), seed=i) for i, length in enumerate(lengths)]
    entries = [{"name": f"train/clip{i}", "text": f"sentence {i}"} for i in range(CLIPS)]
    write_entries(root / "phoenix14t.train", entries)
    for i, entry in enumerate(tqdm(entries, desc="write frame files")):
        write_frames(root / entry["name"], motions[i % len(motions)], "images{:04d}.pkl")


def clips_per_second(corpus: Phoenix14T) -> float:
    """Of the second of two passes over the same clips."""
    clips = corpus.clips("train")[:SAMPLED]
    for _ in range(2):
        started = time.perf_counter()
        for clip in clips:
            corpus.load(clip)
        seconds = time.perf_counter() - started
    return len(clips) / seconds


def augmentations() -> dict[str, Augment]:
    """By name; the last is all of them together."""
    off = load_config("configs/back_translation.yaml").augment
    each = {"SPEED": {"speed": 0.1}, "ROTATION_NOISE": {"rotation_noise": 1.0}, "MIRROR": {"mirror": {"phoenix": 0.5}},
            "TIME_MASK": {"time_mask": 0.2}}
    found = {name: replace(off, **changes) for name, changes in each.items()}
    return found | {"all": replace(off, **{key: value for changes in each.values() for key, value in changes.items()})}


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def epochs(loader: DataLoader) -> tuple[float, float]:
    """Frames per second and worker of the last epoch, and the greatest growth of a worker's memory since the first."""
    grown = 0.0
    resident: dict[int, float] = {}
    for _ in range(EPOCHS):
        started, frames = time.perf_counter(), 0
        for batch in loader:
            frames += int(batch.lengths.sum())
        seconds = time.perf_counter() - started
        for worker in loader._iterator._workers:
            now = resident_mib(worker.pid)
            grown = max(grown, now - resident.setdefault(worker.pid, now))
    return frames / seconds / WORKERS, grown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a number misses its bound")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "corpus"
        write_corpus(root)
        unpacked = Phoenix14T(root)
        per_frame = clips_per_second(unpacked)
        cores = len(os.sched_getaffinity(0))
        started = time.perf_counter()
        store = pack(unpacked, unpacked.packed, cores)
        seconds = time.perf_counter() - started
        total = sum(store.place(clip).frames for clip in store.clips("train"))
        corpus = Phoenix14T(root)
        pairs = zip(MotionDataset([unpacked], "train", LAYOUT), MotionDataset([corpus], "train", LAYOUT))
        for _, (files, shard) in zip(range(50), pairs):
            assert all(torch.equal(files.features[part], shard.features[part]) for part in LAYOUT.names)
        from_shards = clips_per_second(corpus)
        loader = SignDataModule([corpus], LAYOUT, workers=WORKERS).loader("train", "motion", shuffle=True)
        delivered, grown = epochs(loader)
        augmented = {
            name: epochs(SignDataModule([corpus], LAYOUT, workers=WORKERS, augment=settings).loader("train", "motion", True))[0]
            for name, settings in augmentations().items()
        }
    ratio = from_shards / per_frame
    print("with augmentation: " + ", ".join(f"{name} {f:,.0f} frames/s per worker" for name, f in augmented.items()))
    print(f"packing: {total / seconds:,.0f} frames/s on {cores} cores, {total:,} frames of {CLIPS} clips")
    lines = [
        (f"frame files {per_frame:,.0f} clips/s   packed {from_shards:,.0f} clips/s   {ratio:.0f} times faster",
         f"at least {MIN_RATIO:.0f}", ratio >= MIN_RATIO),
        (f"training loader: {delivered:,.0f} frames/s per worker, {WORKERS} workers",
         f"at least {MIN_FRAMES_PER_WORKER:,.0f}", delivered >= MIN_FRAMES_PER_WORKER),
        (f"training loader with every augmentation: {augmented['all']:,.0f} frames/s per worker",
         f"at least {MIN_AUGMENTED:,.0f}", augmented["all"] >= MIN_AUGMENTED),
        (f"resident memory of a worker: {grown:+.1f} MiB over {EPOCHS} epochs", f"below {MAX_GROWTH:.0f}",
         grown < MAX_GROWTH),
    ]
    for line, bound, reached in lines:
        print(f"{line} ({bound}{'' if reached else ', NOT REACHED'})")
    return int(check and not all(reached for _, _, reached in lines))


if __name__ == "__main__":
    sys.exit(main())
