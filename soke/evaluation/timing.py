"""Timing of generation: how long a video takes, at several batch sizes, warm."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice, zip_longest
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from soke.data.clip import Corpus
from soke.evaluation.protocols import Producer, Sentence
from soke.storage import new_file

BATCH_SIZES = (1, 8, 64)
_VIDEOS = 32  # timed at least, per batch size


@dataclass(frozen=True)
class Timing:
    """Text to motion, everything included, at one batch size.

    mean, p50, p95: seconds per video; of a batch, its seconds divided by its videos
    frames_per_second, videos_per_second: frames of motion, and videos, made in a second
    """

    batch_size: int
    videos: int
    mean: float
    p50: float
    p95: float
    frames_per_second: float
    videos_per_second: float


def count_time(
    batched: Callable[[int], Producer], sentences: Sequence[Sentence], batch_sizes: Sequence[int] | None = None
) -> list[Timing]:
    """One timing per batch size. The first batch is made twice, and counted the second time.

    batched: number of sentences -> the producer that works on so many together

    Raises ValueError without sentences; fewer than a batch are used again.
    """
    if not sentences:
        raise ValueError("there are no sentences to time")
    timings = []
    for size in batch_sizes or BATCH_SIZES:
        count = -(-_VIDEOS // size) * size
        chosen = list(islice(cycle(sentences), count))
        producer = batched(size)
        producer.produce(chosen[:size])
        per_video, frames = [], 0
        for start in range(0, count, size):
            begun = _now()
            motions = producer.produce(chosen[start : start + size])
            per_video.append((_now() - begun) / size)
            frames += sum(map(len, motions))
        total = sum(per_video) * size
        p50, p95 = np.percentile(per_video, [50, 95])
        timings.append(Timing(size, count, total / count, float(p50), float(p95), frames / total, count / total))
    return timings


def report(
    batched: Callable[[int], Producer], corpora: Sequence[Corpus], split: str, folder: Path, device: str
) -> list[Timing]:
    """Times sentences of all corpora in turn, prints the table and writes timing.json into `folder`.

    batched: see `count_time`
    device:  which works
    """
    in_turn = zip_longest(*(corpus.clips(split) for corpus in corpora))
    clips = [clip for together in in_turn for clip in together if clip is not None]
    timings = count_time(batched, clips)
    on_gpu = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    Console().print(table(timings, name))
    with new_file(Path(folder) / "timing.json") as path:
        path.write_text(json.dumps({"device": name, "timings": [asdict(t) for t in timings]}, indent=2) + "\n")
    return timings


def table(timings: Sequence[Timing], device: str) -> Table:
    result = Table(title=f"Generation on {device}, warm", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("batch", "videos", "s/video", "p50", "p95", "frames/s", "videos/s"):
        result.add_column(name, justify="right")
    for row in map(asdict, timings):
        batch, videos, *seconds, frames, speed = row.values()
        result.add_row(str(batch), str(videos), *(f"{s:.3f}" for s in seconds), f"{frames:.0f}", f"{speed:.2f}")
    return result


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
