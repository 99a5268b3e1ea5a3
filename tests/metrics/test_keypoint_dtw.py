"""DTWp and nDTWp: by hand, against the plain recursion and dtaidistance, and on what was not seen."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.metrics.joint_sets import track_of
from soke.metrics.keypoint_dtw import DTWP, NDTWP, UNTRIMMED, KeypointDTW, SeenDTW, by_shoulders, keypoint_dtw
from soke.metrics.motion_scores import MotionScores
from tests.metrics.dtw_reference import naive_dtw_of_frames

BODY = Skeleton(SKELETON_50)


def way(seed: int, frames: int, points: int = 4, dimensions: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, points, dimensions)).cumsum(axis=0)


def squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum())


@pytest.mark.parametrize("frames", [(1, 1), (1, 6), (7, 1), (9, 13), (12, 5)])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_equals_the_double_loop(frames: tuple[int, int], dimensions: int) -> None:
    pred, ref = (way(seed, count, dimensions=dimensions) for seed, count in enumerate(frames))
    expected = [naive_dtw_of_frames(pred[:, [k]], ref[:, [k]], squared) ** 0.5 for k in range(4)]
    np.testing.assert_allclose(keypoint_dtw(pred, ref), expected, rtol=1e-12)


def test_equals_dtaidistance() -> None:
    package = pytest.importorskip("dtaidistance.dtw_ndim")
    pred, ref = way(0, 40), way(1, 55)
    expected = [package.distance_fast(*(np.ascontiguousarray(side[:, k]) for side in (pred, ref))) for k in range(4)]
    np.testing.assert_allclose(keypoint_dtw(pred, ref), expected, rtol=1e-10)


def test_by_hand() -> None:
    """0 2 3 against 0 1 3: the pairs (0, 0), (2, 1) and (3, 3) cost 0, 1 and 0; a second point is 3 away, always."""
    pred, ref = np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
    pred[:, 0, 0], ref[:, 0, 0], ref[:, 1, 1] = (0, 2, 3), (0, 1, 3), 3
    np.testing.assert_allclose(keypoint_dtw(pred, ref), [1, 27**0.5])
    with pytest.raises(ValueError, match=r"cannot be compared: \[3, 2, 2\] and \[3, 1, 2\]"):
        keypoint_dtw(pred, ref[:, :1])


def test_normalised_by_the_shoulders() -> None:
    """Shoulders 2 and 4 apart, 3 on average; their middle is at 1 and 2, on average 1.5."""
    shoulders = np.array([[[0.0, 0], [2, 0]], [[0, 0], [4, 0]]])
    np.testing.assert_allclose(by_shoulders(np.array([[[4.5, 3.0]]]), shoulders), [[[1, 1]]])
    for none in (shoulders[:0], 0 * shoulders):
        with pytest.raises(ValueError, match="shoulders were not seen, or are in one place"):
            by_shoulders(np.zeros((1, 1, 2)), none)


def hands(points: list[float], seen: str) -> SimpleNamespace:
    """One keypoint on a line, unseen where there is no 1; the shoulders are 2 apart around 0."""
    values = np.array(points, dtype=np.float32).reshape(-1, 1, 1)
    return SimpleNamespace(
        points=values, seen=np.array([[mark == "1"] for mark in seen]), shoulders=np.array([[[-1.0], [1.0]]]),
    )


def test_what_was_not_seen_is_filled_or_trimmed() -> None:
    """Points at 4 and 8, with an unseen frame before, between and behind, against 4 and 8, all seen."""
    pred, ref = hands([99, 4, 99, 8, 99], "01010"), hands([4, 8], "11")
    values = {}
    for variant in (NDTWP, DTWP, UNTRIMMED):
        metric = SeenDTW(variant, 1, "unit")
        metric.update(["a"], [pred], [ref])
        ((unit, values[variant.name]),) = metric.scores()[0].values.items()
        assert unit == ("shoulders" if variant is NDTWP else "unit")
    # In shoulders: 1 2 1 4 1 against 2 4; paired with 2 2 2 4 4 (the last 1 is 3 from 4, and before it 1 from 2).
    assert values["nDTWp"] == pytest.approx((1 + 0 + 1 + 0 + 9) ** 0.5)
    # 4 10 8 against 4 8: paired with 4 8 8. Untrimmed 10 4 10 8 10: with 4 4 8 8 8, where the first is 6 away.
    assert values["DTWp"] == pytest.approx(2) and values["DTWp untrimmed"] == pytest.approx((36 + 4 + 4) ** 0.5)


def test_no_hand_at_all_has_the_default_distance() -> None:
    nothing, ref = hands([99, 99], "00"), hands([4, 8], "11")
    for variant, value in ((DTWP, 0.0), (NDTWP, (1 + 9) ** 0.5), (UNTRIMMED, (36 + 4) ** 0.5)):
        metric = SeenDTW(variant, 1, "unit")
        metric.update(["a"], [nothing], [ref])
        assert list(metric.scores()[0].values.values()) == [pytest.approx(value)]


def test_of_motions() -> None:
    """Hands as they are, and relative to the shoulders: a signer elsewhere, of another size, is the same."""
    one = JointMotion(torch.randn(6, 50, 3, generator=torch.Generator().manual_seed(0)), SKELETON_50, 25.0)
    other = JointMotion(torch.randn(9, 50, 3, generator=torch.Generator().manual_seed(1)), SKELETON_50, 25.0)
    places = list(range(8, 50))
    shoulders = [SKELETON_50.index(f"{side}_shoulder") for side in ("left", "right")]
    raw = keypoint_dtw(*(m.positions[:, places].double().numpy() for m in (one, other))).mean()
    sides = [[m.positions[:, p].double().numpy() for p in (places, shoulders)] for m in (one, other)]
    normal = keypoint_dtw(*(by_shoulders(*side) for side in sides))
    scores = MotionScores.of(BODY, fps=25.0)
    scores.update(["a"], [track_of(BODY, one)], [track_of(BODY, other)])
    found = {s.signature.name: s for s in scores.scores()}
    assert found["DTWp"].values == {"unit": pytest.approx(raw)}
    assert found["nDTWp"].values == {"shoulders": pytest.approx(normal.mean())}
    assert str(found["nDTWp"].signature) == (
        "nDTWp|hand|align:shoulders|joints:42of42|dtw:exact|units:shoulders|fps:25|body:skeleton-50|lib:pose-evaluation "
        "untrimmed_normalizedbyshoulders_hands_defaultdist1.0_nointerp_dtw_fillmasked1.0|v:1"
    )
    moved = JointMotion(3 * other.positions + 5, SKELETON_50, 25.0)
    metric = KeypointDTW(NDTWP, BODY.landmarks, {**BODY.point_sets, "whole": BODY.whole})
    metric.update("a", track_of(BODY, one), track_of(BODY, moved))
    assert metric.scores()[0].values["shoulders"] == pytest.approx(normal.mean(), rel=1e-5)


def test_shoulders_in_one_place_make_all_points_invalid() -> None:
    """As pose-evaluation has it, they are filled: each is (1, 1, 1), and the clip is scored by all metrics."""
    ref = JointMotion(torch.randn(6, 50, 3, generator=torch.Generator().manual_seed(0)), SKELETON_50, 25.0)
    still = JointMotion(torch.zeros(6, 50, 3), SKELETON_50, 25.0)
    scores = MotionScores.of(BODY)
    scores.update(["a"], [track_of(BODY, still)], [track_of(BODY, ref)])
    shoulders = [SKELETON_50.index(f"{side}_shoulder") for side in ("left", "right")]
    own = by_shoulders(*(ref.positions[:, p].double().numpy() for p in (list(range(8, 50)), shoulders)))
    expected = np.sqrt(((own - 1) ** 2).sum(axis=-1).sum(axis=0)).mean()
    assert scores.per_clip()["a"]["nDTWp hand shoulders"] == pytest.approx(expected, rel=1e-6)
    assert not scores.unscored
