"""DTW of Progressive Transformers and the joint error of SLRTP 2025: of positions as they are, over all joints."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.posed import WHOLE
from soke.body.skeleton import Skeleton
from soke.metrics.dtw import dtw_of_frames, dtw_of_frames_pairs
from soke.metrics.joint_sets import Track, track_of
from soke.metrics.motion_scores import MotionScores
from soke.metrics.position_scores import DTWMJE, PTDTW
from tests.metrics.dtw_reference import absolute_difference, naive_dtw_of_frames, vector_distance

COSTS = {"l1": absolute_difference, "euclidean": vector_distance}
TWO = Skeleton(("neck", "nose", "head"))


def track(*frames: tuple[float, float], fps: float = 25.0) -> Track:
    """Frames of three joints: the first stands still, the others have these heights."""
    return Track({WHOLE: np.array([[[0, 0, 0], [0, a, 0], [0, b, 0]] for a, b in frames], dtype=np.float32)}, fps)


# The nose goes 0, 1, 2, the head stands at 5; predicted as 0, 2 with the head 1 too high in the end.
REFERENCE, PREDICTION = track((0, 5), (1, 5), (2, 5)), track((0, 5), (2, 6))


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("frames", [(1, 1), (1, 7), (9, 1), (12, 17)])
def test_equals_the_double_loop(cost: str, frames: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(frames))
    pred, ref = (rng.normal(size=(count, 7, 3)) for count in frames)
    result = dtw_of_frames(pred, ref, cost)
    assert result.cost == pytest.approx(naive_dtw_of_frames(pred, ref, COSTS[cost]), rel=1e-12)
    assert sum(COSTS[cost](pred[i], ref[j]) for i, j in result.path.T) == pytest.approx(result.cost, rel=1e-12)
    steps = np.diff(result.path)
    assert (steps.max(0, initial=1) == 1).all() and (steps >= 0).all()
    assert result.path[:, 0].tolist() == [0, 0] and result.path[:, -1].tolist() == [frames[0] - 1, frames[1] - 1]


def test_pairs_are_scored_as_alone_and_name_the_faulty_one() -> None:
    rng = np.random.default_rng(1)
    preds, refs = ([rng.normal(size=(count, 4, 3)) for count in counts] for counts in ((3, 9, 5), (6, 2, 5)))
    for cost in COSTS:
        together = dtw_of_frames_pairs(preds, refs, cost)
        assert [r.cost for r in together] == [dtw_of_frames(*pair, cost).cost for pair in zip(preds, refs)]
    with pytest.raises(ValueError, match="pair 1: the prediction holds NaN"):
        dtw_of_frames_pairs([refs[0], refs[1] * np.nan, refs[2]], refs, "l1")
    with pytest.raises(ValueError, match="cost is 'l2', it must be one of l1, euclidean"):
        dtw_of_frames(refs[0], refs[0], "l2")
    with pytest.raises(ValueError, match="4 joints and the reference 3"):
        dtw_of_frames(refs[0], refs[0][:, :3], "l1")


def test_dtw_by_hand_is_per_frame_of_the_reference() -> None:
    # Pairs (0, 0), (1, 2) cost 0 and 1; the nose's way over 1 costs 1 more from the left, 1 + 1 from the right.
    metric = PTDTW(TWO.whole, unit="unit")
    metric.update("clip", PREDICTION, REFERENCE)
    assert metric.compute()["PT-DTW"]["unit"].item() == pytest.approx((0 + 1 + 1) / 3)
    metric.update("other", REFERENCE, PREDICTION)  # the same path, but two frames of the reference
    metric.update("same", REFERENCE, REFERENCE)
    assert metric.compute()["PT-DTW"]["unit"].item() == pytest.approx((2 / 3 + 2 / 2 + 0) / 3)


def test_joint_error_by_hand_is_the_mean_over_the_pairs_of_all_clips() -> None:
    # On the path (0, 0), (0, 1), (1, 2) the joints are off by 0 0 0, 0 1 0 and 0 0 1.
    metric = DTWMJE(TWO.whole, unit="unit")
    metric.update("clip", PREDICTION, REFERENCE)
    assert metric.compute()["DTW-MJE"]["unit"].item() == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)
    metric.update("still", track((1, 5)), track((4, 5)))  # one pair more, off by 1
    assert metric.compute()["DTW-MJE"]["unit"].item() == pytest.approx((2 / 3 + 1) / 4)
    assert metric.per_clip()["still"].tolist() == [pytest.approx(1)]


def test_each_score_has_the_path_of_its_own_cost() -> None:
    """The middle frame is off by 3 of one joint from the first reference frame, by 2 of two joints from the second."""
    pred, ref = track((3, 0), (0, 0), (2, 2)), track((3, 0), (2, 2))
    joint_error, dtw = DTWMJE(TWO.whole), PTDTW(TWO.whole)
    for metric in (joint_error, dtw):
        metric.update("clip", pred, ref)
    assert joint_error.compute()["DTW-MJE"]["m"].item() == pytest.approx((2 + 2) / 3 / 3)  # sqrt(8) is less than 3
    assert dtw.compute()["PT-DTW"]["m"].item() == pytest.approx(3 / 2)  # 3 is less than 4


def test_fastdtw_is_named() -> None:
    pytest.importorskip("fastdtw")
    metric = DTWMJE(TWO.whole, unit="unit", method="fastdtw", fps=25.0, body=TWO.label)
    metric.update("clip", PREDICTION, REFERENCE)
    assert metric.compute()["DTW-MJE"]["unit"].item() == pytest.approx(2 / 9)  # exact on clips so short
    assert str(metric.signatures[0]) == (
        "DTW-MJE|align:none|joints:3of3|dtw:fastdtw|units:unit|fps:25|body:skeleton-3|v:1"
    )


def test_skeletons_have_both_scores_over_all_joints_and_surfaces_neither(body) -> None:
    skeleton, rng = Skeleton(SKELETON_50), np.random.default_rng(0)
    pred, ref = (
        JointMotion(torch.from_numpy(rng.normal(size=(n, 50, 3)).astype(np.float32)), SKELETON_50, 25.0) for n in (6, 8)
    )
    scores = MotionScores.of(skeleton, fps=25.0, layout="abc")
    scores.update(["clip"], [track_of(skeleton, pred)], [track_of(skeleton, ref)])
    found = {s.signature.name: s for s in scores.scores()}
    cost = naive_dtw_of_frames(pred.positions.numpy(), ref.positions.numpy(), absolute_difference)
    assert found["PT-DTW"].values == {"unit": pytest.approx(cost / 8, rel=1e-6)}
    assert str(found["PT-DTW"].signature) == (
        "PT-DTW|align:none|joints:50of50|dtw:exact|units:unit|fps:25|body:skeleton-50|layout:abc|v:1"
    )
    assert str(found["DTW-MJE"].signature).startswith("DTW-MJE|align:none|joints:50of50|dtw:exact|units:unit")
    assert found["PT-DTW"].higher_is_better is False
    assert not {"PT-DTW", "DTW-MJE"} & {s.name for m in MotionScores.of(body).metrics for s in m.signatures}


def test_joints_of_no_part_must_be_finite_too() -> None:
    """Two joints of a hand are no part, but count among all joints."""
    joints = ("neck", "nose", "head", "left_index1", "left_index2")
    skeleton, good = Skeleton(joints), JointMotion(torch.ones(4, 5, 3), joints, 25.0)
    bad = JointMotion(torch.where(torch.arange(5)[:, None] == 4, torch.nan, good.positions), joints, 25.0)
    scores = MotionScores.of(skeleton)
    scores.update(["bad", "good"], [track_of(skeleton, m) for m in (bad, good)], [track_of(skeleton, good)] * 2)
    assert list(scores.unscored) == ["bad"] and "the prediction holds NaN" in scores.unscored["bad"]
    assert list(scores.per_clip()) == ["good"]
