"""How much faster the scores beside ours are than loops over frames and points in Python, on a test set of 500 clips.

The loops' time is that for a few of the clips, scaled up by their frames; both are measured in this run, on all cores.

    python tests/benchmarks/bench_scorecard.py            prints the ratios
    python tests/benchmarks/bench_scorecard.py --check    and exits with 1 when one is below its floor
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from soke.body.skinned import SMPLX_LANDMARKS, SMPLX_POINT_SETS  # noqa: E402
from soke.metrics.contacts import KINDS, NEAR, Contact  # noqa: E402
from soke.metrics.joint_sets import Track  # noqa: E402
from soke.metrics.keypoint_dtw import DTWP, KeypointDTW  # noqa: E402
from soke.metrics.ratios import MotionRatio, WristPath  # noqa: E402
from soke.metrics.track_metric import Pairs  # noqa: E402
from tests.benchmarks.bounds import checked  # noqa: E402
from tests.metrics import scorecard_reference as naive  # noqa: E402

CLIPS, FRAMES, FEW = 500, (60, 180), 2
HANDS = ("left_hand", "right_hand")
NAIVE_RATIOS = {"speed": naive.naive_speed, "jitter": naive.naive_jitter, "temporal SD": naive.naive_deviation}
FLOORS = {"speed": 40.0, "jitter": 30.0, "temporal SD": 80.0, "wrist path": 20.0, "contact": 40.0, "DTWp": 400.0}
_PLACES = {"body": (0.0, 0.3), "left_hand": (0.5, 0.05), "right_hand": (-0.5, 0.05)}  # along x, and extent, in metres


def track(rng: np.random.Generator) -> Track:
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    sets = {name: of.total for name, of in SMPLX_POINT_SETS.items()}
    points = {
        name: rng.normal([place, 0, 0], extent, (1, sets[name], 3)) + np.cumsum(
            rng.normal(0, 0.01, (frames, 1, 3)) + rng.normal(0, 0.002, (frames, sets[name], 3)), axis=0
        ) for name, (place, extent) in _PLACES.items()
    }
    return Track({name: torch.from_numpy(of).float() for name, of in points.items()}, 25.0)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def loops(name: str, few: list[tuple[Track, Track]]) -> None:
    """What the metric's loops do with some clips."""
    for pair in few:
        lists = [{part: points.tolist() for part, points in of.points.items()} for of in pair]
        if name in NAIVE_RATIOS:
            for side in lists:
                for part, of in SMPLX_POINT_SETS.items():
                    NAIVE_RATIOS[name](side[part], list(of.scored))
        elif name == "wrist path":
            for side in lists:
                naive.naive_path(side["body"], list(SMPLX_LANDMARKS["wrists"][1]))
        elif name == "contact":
            for side in lists:
                face = [[frame[j] for j in SMPLX_LANDMARKS["face"][1]] for frame in side["body"]]
                left, right = (side[hand] for hand in HANDS)
                for other, one in ((face, left), (face, right), (right, left)):
                    naive.naive_touches(one, other, NEAR * 0.35)
        else:
            naive.naive_keypoint_dtw(*(np.concatenate([of.points[hand].numpy() for hand in HANDS], 1) for of in pair))


def results() -> Iterator[tuple[str, str, bool]]:
    rng = np.random.default_rng(0)
    preds, refs = ([track(rng) for _ in range(CLIPS)] for _ in range(2))
    pairs = Pairs(preds, refs)
    pairs.warped("body", "root")  # which other scores need, too
    made = {what: [MotionRatio(what)] for what in NAIVE_RATIOS}
    made |= {
        "wrist path": [WristPath(SMPLX_LANDMARKS)], "contact": [Contact(kind, SMPLX_LANDMARKS) for kind in KINDS],
        "DTWp": [KeypointDTW(DTWP, SMPLX_LANDMARKS)],
    }
    few = list(zip(preds, refs))[:FEW]
    for name, metrics in made.items():
        [list(metric._measure(Pairs(preds[:1], refs[:1]))) for metric in metrics]  # compiles
        fast = seconds(lambda: [list(metric._measure(pairs)) for metric in metrics])
        sizes = [len(pred) * len(ref) if name == "DTWp" else len(pred) + len(ref) for pred, ref in zip(preds, refs)]
        slow = seconds(lambda: loops(name, few)) * sum(sizes) / sum(sizes[:FEW])
        yield said(name, slow, fast)


def said(name: str, slow: float, fast: float) -> tuple[str, str, bool]:
    ratio, floor = slow / fast, FLOORS[name]
    line = f"{name:12s} {CLIPS} clips: loops {slow:7.1f} s   here {fast:6.3f} s   {ratio:6.0f} times faster"
    return line, f"floor {floor:g}", ratio >= floor


if __name__ == "__main__":
    sys.exit(checked(results, __doc__))
