from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.dtw import dtw_jpe
from soke.metrics.joint_sets import BODY_JOINTS, TRACK_JOINTS, JointSet, Track, track_of
from soke.metrics.motion_scores import (
    DTWJPE,
    DTWVPE,
    Diversity,
    DynamicsError,
    LengthRatio,
    MotionScores,
    TrackMetric,
)
from soke.metrics.sibleu import SiBLEU
from soke.metrics.text_scores import BLEU

FACE = 7
SKELETON = Skeleton(SKELETON_50)
SIZES = {"body": 144, "left_hand": 21, "right_hand": 21, "face": 1 + FACE}


def track(seed: int, frames: int, fps: float = 25.0) -> Track:
    rng = np.random.default_rng(seed)
    return Track({part: rng.normal(0, 0.3, (frames, size, 3)) for part, size in SIZES.items()}, fps)


def pair(index: int) -> tuple[Track, Track]:
    """Prediction and reference of a clip, of different lengths."""
    return track(2 * index, 5 + index), track(2 * index + 1, 7)


def changed(source: Track, change: Callable[[np.ndarray], object]) -> Track:
    return Track({part: change(points) for part, points in source.points.items()}, source.fps)


def with_points(source: Track, **points: object) -> Track:
    return replace(source, points={**source.points, **points})


def without(source: Track, part: str) -> Track:
    return replace(source, points={name: points for name, points in source.points.items() if name != part})


def test_a_score_is_that_of_all_clips_so_far(recwarn: pytest.WarningsRecorder) -> None:
    metric, whole = DTWJPE("root"), DTWJPE("root")
    for i in range(2):
        metric.update_many([f"clip{i}"], *([track] for track in pair(i)))
        last = metric.compute()["body"]["m"]
    whole.update_many(["clip0", "clip1"], *zip(pair(0), pair(1)))
    assert last == whole.compute()["body"]["m"] and not [w for w in recwarn if "compute" in str(w.message)]


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_columns_are_means_over_clips_of_parts_and_of_soke_s_average(align: str) -> None:
    metric = DTWJPE(align)
    metric.update_many([f"clip{i}" for i in range(3)], *zip(*(pair(i) for i in range(3))))
    results = {
        part: [dtw_jpe(*(t.points[part] for t in pair(i)), align, joints.scored) for i in range(3)]
        for part, joints in TRACK_JOINTS.items()
    }
    body, left, right = ([r.cost for r in results[part]] for part in TRACK_JOINTS)
    expected = {
        "body": np.mean(body), "left hand": np.mean(left), "right hand": np.mean(right),
        "hand": np.mean([left, right]), "avg": (12 * np.mean(body) + 42 * np.mean([left, right])) / 54,
    }
    computed = metric.compute()
    assert {column: values["m"].item() for column, values in computed.items()} == pytest.approx(expected)
    assert computed["body"]["mm"] == pytest.approx(np.mean([1000 * r.cost / r.path_length for r in results["body"]]))
    assert metric.per_clip()["clip1"][:2] == pytest.approx((results["body"][1].cost, results["body"][1].mean_mm))


def assert_close(ours: list[Score], theirs: list[Score]) -> None:
    """Of the same clips, scored in other batches or on other threads."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.values == pytest.approx(other.values) and one.intervals.keys() == other.intervals.keys()
        assert all(ends == pytest.approx(other.intervals[unit]) for unit, ends in one.intervals.items())
        assert replace(one, values={}, intervals={}) == replace(other, values={}, intervals={})


def test_a_body_s_own_point_sets_have_columns_of_their_own() -> None:
    """A body may have other sets than SMPL-X; the average weighs them by their scored joints."""
    joints = {"torso": JointSet("torso", 5, (1, 2, 3)), "left_foot": JointSet("foot", 4, (1,))}
    tracks = [
        Track({name: np.random.default_rng(seed).normal(size=(6, s.total, 3)) for name, s in joints.items()}, 25.0)
        for seed in (0, 1)
    ]
    scores = MotionScores(joints=joints, fps=25.0)
    scores.update(["a"], tracks[:1], tracks[1:])
    found = {s.signature.part: s.values["m"] for s in scores.scores() if s.signature.name == "DTW-JPE"}
    torso, foot = (dtw_jpe(*(t.points[name] for t in tracks), "root", joints[name].scored).cost for name in joints)
    assert found == pytest.approx({"torso": torso, "left foot": foot, "avg": (3 * torso + foot) / 4})
    assert {s.signature.name for s in scores.scores()} == {"DTW-JPE", "DTW-PA-JPE", "length"}
    scores.update(["b"], [without(tracks[0], "torso")], tracks[1:])
    assert scores.unscored == {"b": "clip b cannot be scored: the prediction has no torso"}


def test_only_columns_whose_parts_are_there() -> None:
    metric = DTWJPE("root", parts=["body", "right_hand"])
    metric.update("a", *(without(t, "left_hand") for t in pair(0)))
    assert list(metric.compute()) == ["body", "right hand"]


def test_together_or_one_by_one_arrays_or_tensors() -> None:
    together, single = MotionScores(face_vertices=FACE), MotionScores(face_vertices=FACE)
    names, (preds, refs) = ["a", "b", "c"], zip(*(pair(i) for i in range(3)))
    together.update(names, preds, refs)
    for name, pred, ref in zip(names, preds, refs):
        single.update([name], [changed(pred, torch.from_numpy)], [changed(ref, torch.from_numpy)])
    assert_close(together.scores(), single.scores())
    ours, theirs = together.per_clip(), single.per_clip()
    assert all(values == pytest.approx(theirs[name]) for name, values in ours.items()) and len(ours) == len(theirs) == 3


def test_no_clips_add_nothing() -> None:
    scores = MotionScores(face_vertices=FACE)
    scores.update(["a"], *([t] for t in pair(0)))
    before = scores.scores()
    for metric in scores.metrics:
        metric.update_many([], [], [])
    assert scores.scores() == before


def test_a_clip_scored_twice_counts_once_and_order_does_not_matter() -> None:
    metric, other = DTWJPE("root"), DTWJPE("root")
    for index in (0, 1, 0):
        metric.update(f"clip{index}", *pair(index))
    for index in (1, 0):
        other.update(f"clip{index}", *pair(index))
    assert metric.scores() == other.scores()
    (first, *_) = metric.scores()
    assert first.clips == 2 and first.clips_hash == hash_of_clips(["clip0", "clip1"])


def test_identical_motion_costs_nothing() -> None:
    truth = track(0, 6)
    for metric in (DTWJPE("root"), DTWJPE("procrustes"), DTWVPE(vertices=FACE), DynamicsError(1), DynamicsError(2)):
        metric.update("a", truth, truth)
        for score in metric.scores():
            assert list(score.values.values()) == pytest.approx([0.0] * len(score.values), abs=1e-6)
    ratio = LengthRatio()
    ratio.update("a", truth, truth)
    assert ratio.scores()[0].values == {"ratio": 1.0}


def test_face_is_moved_with_the_head_and_only_vertices_count() -> None:
    truth = track(0, 4)
    face = np.array(truth.points["face"]) + 5.0  # elsewhere in the room
    face[:, 1:, 0] += 0.1  # every vertex 10 cm from where the head has it
    metric = DTWVPE(vertices=FACE)
    metric.update("a", with_points(truth, face=face), truth)
    assert metric.scores()[0].values["mm"] <= 100 + 1e-6
    one = changed(truth, lambda points: points[:1])
    metric = DTWVPE(vertices=FACE)
    metric.update("a", with_points(one, face=face[:1]), one)
    assert metric.scores()[0].values == pytest.approx({"m": 0.1, "mm": 100.0})


def test_length_ratio_counts_seconds() -> None:
    metric = LengthRatio()
    metric.update("a", track(0, 50), track(1, 25))
    metric.update("b", track(0, 25), track(1, 25))
    assert metric.scores()[0].values["ratio"] == pytest.approx(1.5)


def still_but(joint: int, positions: np.ndarray, fps: float) -> Track:
    """A body of which one joint is at positions [T] along x."""
    body = np.zeros((len(positions), 144, 3))
    body[:, joint, 0] = positions
    return Track({"body": body}, fps)


def test_velocity_and_acceleration_errors_by_hand() -> None:
    fps, seconds = 10.0, np.arange(9) / 10.0
    scored = BODY_JOINTS.scored[3]
    still = still_but(scored, np.zeros(9), fps)
    for order, moved in ((1, 0.6 * seconds), (2, 0.3 * seconds**2)):  # 0.6 m/s; 0.6 m/s²
        metric = DynamicsError(order, parts=["body"])
        metric.update("a", still_but(scored, moved, fps), still)
        (value,) = metric.scores()[0].values.values()
        assert value == pytest.approx(0.6 / 12)  # of twelve joints
    metric = DynamicsError(1, parts=["body"])
    metric.update("a", still_but(scored, np.zeros(1), fps), still)
    assert metric.scores()[0].values == {"m/s": 0.0}


def test_diversity_is_the_mean_distance_of_different_clips() -> None:
    metric = Diversity()
    tracks = {f"clip{i}": track(i, 5 + i) for i in range(3)}
    for name, pred in tracks.items():
        metric.update(name, pred, pred)

    def postures(source: Track) -> np.ndarray:
        moments = np.linspace(0, len(source) - 1, 8).round().astype(int)
        return np.stack([
            np.concatenate([
                (source.points[part][t] - source.points[part][t, 0])[list(joints.scored)]
                for part, joints in TRACK_JOINTS.items()
            ])
            for t in moments
        ])

    a, b, c = map(postures, tracks.values())
    expected = np.mean([1000 * np.linalg.norm(x - y, axis=-1).mean() for x, y in ((a, b), (a, c), (b, c))])
    assert metric.scores()[0].values["mm"] == pytest.approx(expected)
    low, high = metric.scores()[0].intervals["mm"]
    assert low <= expected <= high + 1e-9


def test_all_clips_alike_have_no_diversity() -> None:
    """A single clip, of which nothing can be different, has no score of it."""
    metric = Diversity()
    metric.update("a", track(0, 5), track(1, 5))
    assert metric.scores() == []
    for name in "abc":
        metric.update(name, track(0, 5), track(1, 5))
    assert metric.scores()[0].values["mm"] == pytest.approx(0.0, abs=1e-9)


def test_intervals_hold_the_mean_and_shrink_with_more_clips() -> None:
    widths = []
    for clips in (8, 128):
        metric = LengthRatio()
        rng = np.random.default_rng(0)
        for index in range(clips):
            frames = np.zeros(rng.integers(10, 30))
            metric.update(str(index), still_but(0, frames, 25.0), still_but(0, np.zeros(20), 25.0))
        (score,) = metric.scores()
        low, high = score.intervals["ratio"]
        assert low < score.values["ratio"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2  # a quarter, were the samples' spreads the same
    assert metric.scores() == metric.scores()  # the same resamples every time


def test_fastdtw_is_an_upper_bound_and_says_by_how_much() -> None:
    exact, fast = MotionScores(["body"]), MotionScores(["body"], method="fastdtw")
    names, (preds, refs) = ["a", "b"], zip(*((track(i, 40), track(i + 9, 50)) for i in range(2)))
    for scores in (exact, fast):
        scores.update(names, preds, refs)
    assert exact.deviations() == {}
    (mean, most) = fast.deviations()["DTW-JPE body"]
    assert 0 <= mean <= most
    approximate, true = (scores.per_clip()[n]["DTW-JPE body m"] for scores in (fast, exact) for n in ["a"])
    assert approximate >= true - 1e-12
    above = [
        100 * (fast.per_clip()[n]["DTW-JPE body m"] / exact.per_clip()[n]["DTW-JPE body m"] - 1) for n in names
    ]
    assert (mean, most) == pytest.approx((np.mean(above), max(above)))
    assert f"fastdtw's DTW-JPE body is {mean:.2f} % above the exact cost" in fast.notes()[0] and not exact.notes()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_reset_and_nothing_scored() -> None:
    metric = DTWJPE("root")
    metric.update("a", *pair(0))
    metric.reset()
    assert metric.per_clip() == {}
    with pytest.raises(ValueError, match="DTW-JPE was asked for before any clip"):
        metric.compute()
    with pytest.raises(ValueError, match="DTW-JPE was asked for before any clip"):
        metric.scores()


BAD = [
    (lambda t: with_points(t, body=np.zeros((0, 144, 3))), "prediction has no frames"),
    (lambda t: with_points(t, right_hand=np.full((2, 21, 3), np.nan)), "NaN or infinite positions, first in frame 0"),
    (lambda t: with_points(t, body=torch.full((2, 144, 3), float("inf"))), "NaN or infinite"),
    (lambda t: with_points(t, body=np.zeros((2, 55, 3))), "55 joints, a body has 144"),
    (lambda t: with_points(t, face=np.zeros((2, 3, 3))), "3 points, a face has 8"),
    (lambda t: with_points(t, body=np.zeros((2, 144))), "shape"),
    (lambda t: without(t, "left_hand"), "the prediction has no left hand"),
    (lambda t: replace(t, fps=30.0), "30 frames/s, the reference 25; resample"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_a_bad_clip_is_named_and_the_others_keep_their_scores(spoil: Callable, message: str) -> None:
    good, mixed = MotionScores(face_vertices=FACE), MotionScores(face_vertices=FACE)
    names, (preds, refs) = ["a", "b"], zip(*(pair(i) for i in range(2)))
    good.update(names, preds, refs)
    mixed.update(["a", "S000020", "b"], [preds[0], spoil(track(5, 2)), preds[1]], [refs[0], track(6, 2), refs[1]])
    assert_close(mixed.scores(), good.scores())
    assert list(mixed.unscored) == ["S000020"]
    assert mixed.unscored["S000020"].startswith("clip S000020 cannot be scored: ")
    assert message in mixed.unscored["S000020"]


def test_one_bad_clip_alone_raises_and_leaves_no_trace() -> None:
    metric: TrackMetric = DTWJPE("root")
    with pytest.raises(ValueError, match="clip x cannot be scored: .*no frames"):
        metric.update("x", changed(track(0, 2), lambda points: points[:0]), track(1, 2))
    assert metric.per_clip() == {}


def test_signatures() -> None:
    metric = DTWJPE("procrustes", fps=25, body="stand-in", layout="abc", statistics="def", method="fastdtw")
    lines = {s.part: str(s) for s in metric.signatures}
    assert lines["hand"] == (
        "DTW-PA-JPE|hand|align:procrustes|joints:21of21|dtw:fastdtw|units:m,mm|fps:25|body:stand-in|layout:abc|"
        "stats:def|v:1"
    )
    assert "joints:12of144+21of21" in lines["avg"]
    assert DTWJPE("root").signatures[0].name == "DTW-JPE"


OF_RANKS = {"uneven, overlapping": [[0, 1, 2], [2, 3]], "one process without clips": [[0, 1], []]}


def everything(indices: list[int]) -> tuple[MotionScores, BLEU, MotionScores, SiBLEU]:
    """Scores of a body, of texts, of a skeleton and of codes."""
    motion, text = MotionScores(face_vertices=FACE), BLEU(level="word")
    of_skeleton, codes = MotionScores.of(SKELETON), SiBLEU({"body": [9]}, [], "abc")
    for index in indices:
        random = torch.Generator().manual_seed(index)
        of_skeleton.update([f"clip{index}"], *(
            [track_of(SKELETON, JointMotion(torch.randn(n, 50, 3, generator=random), SKELETON_50, 25.0))] for n in (6, 8)
        ))
        codes.update(f"clip{index}", *(torch.randint(0, 9, (n, 1), generator=random) for n in (5, 7)))
        motion.update([f"clip{index}"], *([t] for t in pair(index)))
        text.update(f"clip{index}", f"the dog {index} sleeps in the garden", "the dog 2 sleeps in the house")
    return motion, text, of_skeleton, codes


def _score_ranks(rank: int, address: str, results: mp.SimpleQueue) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    for name, of_ranks in OF_RANKS.items():
        motion, *others = everything(of_ranks[rank])
        scores = [score for metric in (motion, *others) for score in metric.scores()]
        results.put((name, rank, scores, motion.undefined(), sorted(motion.per_clip())))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow  # tests/test_two_processes.py compares whole tables
@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_score_ranks, (f"file://{tmp_path / 'rendezvous'}", results), nprocs=2)
    gathered = {(name, rank): found for name, rank, *found in (results.get() for _ in range(4))}
    for name, of_ranks in OF_RANKS.items():
        motion, *others = everything(sorted(set().union(*of_ranks)))
        for rank, own_clips in enumerate(of_ranks):
            scores, undefined, own = gathered[name, rank]
            assert_close(scores, [score for metric in (motion, *others) for score in metric.scores()])
            assert undefined == motion.undefined()
            assert own == [f"clip{index}" for index in own_clips]  # each process holds its own clips again
