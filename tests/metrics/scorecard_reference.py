"""The obvious scores of the scorecard, frame by frame and point by point in Python: for the tests and the benchmark."""
from __future__ import annotations

from collections import Counter
from math import dist, exp

import numpy as np

from tests.metrics.dtw_reference import naive_dtw_of_frames

Points = list[list[list[float]]]  # [T][N][3]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def naive_speed(points: Points, scored: list[int]) -> float:
    """Of the scored points relative to point 0, per frame."""
    moved = relative(points, scored)
    return mean([dist(a, b) for before, after in zip(moved, moved[1:]) for a, b in zip(before, after)])


def naive_jitter(points: Points, scored: list[int]) -> float:
    moved = relative(points, scored)
    return mean([
        dist([d - 3 * c + 3 * b - a for a, b, c, d in zip(*of_joint)], [0, 0, 0])
        for four in zip(moved, moved[1:], moved[2:], moved[3:]) for of_joint in zip(*four)
    ])


def naive_deviation(points: Points, scored: list[int]) -> float:
    found = []
    for way in zip(*relative(points, scored)):
        variances = [mean([(x - mean(list(axis))) ** 2 for x in axis]) for axis in zip(*way)]
        found.append(sum(variances) ** 0.5)
    return mean(found)


def relative(points: Points, scored: list[int]) -> Points:
    return [[[x - o for x, o in zip(frame[j], frame[0])] for j in scored] for frame in points]


def naive_path(points: Points, wrists: list[int]) -> float:
    """Mean over the wrists."""
    return mean([sum(dist(a[w], b[w]) for a, b in zip(points, points[1:])) for w in wrists])


def naive_touches(one: Points, other: Points, near: float) -> list[bool]:
    return [any(dist(p, q) < near for p in of_one for q in of_other) for of_one, of_other in zip(one, other)]


def naive_keypoint_dtw(pred: np.ndarray, ref: np.ndarray) -> float:
    """[T1, K, 3], [T2, K, 3] -> mean over K."""
    cost = lambda a, b: float(((a - b) ** 2).sum())  # noqa: E731
    return mean([naive_dtw_of_frames(pred[:, [k]], ref[:, [k]], cost) ** 0.5 for k in range(pred.shape[1])])


def naive_sibleu(pairs: list[tuple[list[int], list[int]]]) -> float:
    common = made = given = 0
    for codes, wanted in pairs:
        left = Counter(wanted)
        for code in codes:
            common += left[code] > 0
            left[code] -= 1
        made, given = made + len(codes), given + len(wanted)
    return 100 * common / made * exp(min(0, 1 - given / made))
