"""Scores of joint positions: the joints that a skeleton has, in the unit that it has."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_BODY, SKELETON_LEFT_HAND
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.metrics.dtw import dtw_jpe
from soke.metrics.joint_sets import track_of
from soke.metrics.motion_errors import MotionErrors
from soke.metrics.motion_scores import MotionScores
from soke.metrics.signature import Signature, comparable

ONE_HAND = (*SKELETON_BODY, *SKELETON_LEFT_HAND)


def moving(seed: int, frames: int, joints: tuple[str, ...] = SKELETON_50) -> JointMotion:
    positions = torch.randn(frames, len(joints), 3, generator=torch.Generator().manual_seed(seed))
    return JointMotion(positions, joints, 25.0)


def scored(body: Skeleton, joints: tuple[str, ...]) -> tuple[MotionScores, list[tuple[JointMotion, JointMotion]]]:
    pairs = [(moving(i, 5 + i, joints), moving(10 + i, 7, joints)) for i in range(3)]
    scores = MotionScores.of(body, fps=25.0)
    preds, refs = ([track_of(body, motion) for motion in side] for side in zip(*pairs))
    scores.update(["a", "b", "c"], preds, refs)
    assert not scores.unscored
    return scores, pairs


@pytest.mark.parametrize("align", ["root", "procrustes"])
@pytest.mark.parametrize("joints", [SKELETON_50, ONE_HAND], ids=["all", "one hand"])
def test_columns_are_means_of_the_sets_weighed_by_their_joints(joints, align):
    scores, pairs = scored(Skeleton(joints), joints)
    name = {"root": "DTW-JPE", "procrustes": "DTW-PA-JPE"}[align]
    found = {s.signature.part: s.values["unit"] for s in scores.scores() if s.signature.name == name}

    places = {"body": [1, 0, *range(2, 8)], "left hand": list(range(8, 29)), "right hand": list(range(29, 50))}
    expected = {
        part: np.mean([
            dtw_jpe(pred.positions[:, own].numpy(), ref.positions[:, own].numpy(), align, range(len(own))).cost
            for pred, ref in pairs
        ])
        for part, own in places.items() if max(own) < len(joints)
    }
    hands = [expected[part] for part in expected if "hand" in part]
    expected["avg"] = (8 * expected["body"] + 21 * sum(hands)) / (8 + 21 * len(hands))
    if len(hands) == 2:
        expected["hand"] = sum(hands) / 2
    assert found == pytest.approx(expected)


def test_all_scores_are_in_the_unit_of_the_positions():
    for unit, units in (
        ("unit", {"DTW-JPE": ("unit", "milliunit"), "velocity error": ("unit/s",), "diversity": ("milliunit",)}),
        ("m", {"DTW-JPE": ("m", "mm"), "velocity error": ("m/s",), "diversity": ("mm",)}),
    ):
        scores, _ = scored(Skeleton(SKELETON_50, unit), SKELETON_50)
        found = {s.signature.name: s.signature.units for s in scores.scores()}
        assert {name: found[name] for name in units} == units
        assert not {"DTW-VPE", "mouth opening"} & set(found)


def test_no_score_shares_a_column_with_one_of_smplx(body):
    ours, _ = scored(Skeleton(SKELETON_50, "m"), SKELETON_50)
    theirs = MotionScores.of(body, fps=25.0)
    of_body = {(s.name, s.part): s for metric in theirs.metrics for s in metric.signatures}
    for score in ours.scores():
        other: Signature | None = of_body.get((score.signature.name, score.signature.part))
        whole = score.signature.name in ("PT-DTW", "DTW-MJE") or score.signature.name.startswith("SLRTP")
        assert whole if other is None else not comparable(score.signature, other)


def test_errors_are_mean_distances_and_there_are_none_of_vertices():
    body, (pred, ref) = Skeleton(ONE_HAND), (moving(1, 6, ONE_HAND), moving(2, 6, ONE_HAND))
    errors = MotionErrors(body)
    errors.update("clip", pred, ref)
    found = errors.compute()
    assert set(found) == {"MPJPE_body", "MPJPE_hand", "PA_MPJPE_body", "PA_MPJPE_hand"}
    for part, root, own in (("body", 1, slice(0, 8)), ("hand", 8, slice(8, 29))):
        relative = [m.positions[:, own] - m.positions[:, root, None] for m in (pred, ref)]
        distance = (relative[0] - relative[1]).norm(dim=-1).mean().item()
        assert found[f"MPJPE_{part}"] == pytest.approx(1000 * distance, rel=1e-5)
    assert errors.errors["MPJPE_hand"].signatures[0].units == ("milliunit",)
    errors.reset()
    errors.update("clip", ref, ref)
    assert errors.compute() == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)
    with pytest.raises(ValueError, match="clip7.*5 frames against 6"):
        errors.update("clip7", pred.frames(slice(0, 5)), ref)
