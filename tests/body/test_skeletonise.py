"""The 50 joints of a body's motions: which points they are, and in which space."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_LEFT_HAND, SKELETON_RIGHT_HAND, joint_indices
from soke.body.model import load_smplfx
from soke.body.motion import Motion
from soke.body.skeleton import Skeleton
from soke.body.skeletonise import BodySkeleton, skeleton_50
from soke.body.skinned import FINGERTIPS


def at(motion, name: str) -> torch.Tensor:
    """[T, 3]"""
    return motion.positions[:, SKELETON_50.index(name)]


@pytest.fixture(scope="module", params=["smplx", "smplfx"])
def posed(request, body):
    return body if request.param == "smplx" else load_smplfx(body.file.parents[2], flat_hand_mean=True)


def moving(seed: int = 0, frames: int = 3) -> Motion:
    motion = Motion.rest(frames, 20.0)
    motion.rotations[:, joint_indices(["left_elbow", "right_wrist", "neck", "left_index1", "right_pinky2"])] = 0.4 * (
        torch.randn(frames, 5, 3, generator=torch.Generator().manual_seed(seed))
    )
    return motion


def test_the_space_is_that_of_progressive_transformers(posed):
    rest = skeleton_50(posed, Motion.rest(2, 20.0))
    assert rest.joints == SKELETON_50 and rest.fps == 20.0 and torch.equal(at(rest, "neck"), torch.zeros(2, 3))
    shoulders = at(rest, "left_shoulder") - at(rest, "right_shoulder")
    assert float(shoulders.norm(dim=1)[0]) == pytest.approx(1.0, abs=1e-5)
    assert at(rest, "right_shoulder")[0, 0] > 0.3 > -0.3 > at(rest, "left_shoulder")[0, 0]  # as in their files
    assert at(rest, "nose")[0, 1] < -0.1  # y points down
    assert at(rest, "nose")[0, 2] > 0.1  # z to the front


def test_every_joint_is_the_bodys_own(posed):
    """Distances are those of the joints, tips and landmarks that the body gives, in one scale."""
    motion = moving()
    skeleton = skeleton_50(posed, motion)
    points = posed.track(motion, ["body", "left_hand", "right_hand"])
    vertices = posed.surface(motion)
    rest = posed.track(Motion.rest(1, 20.0), ["body"])["body"][0, joint_indices(["left_shoulder", "right_shoulder"])]
    scale = (rest[0] - rest[1]).norm()
    neck = points["body"][:, joint_indices(["neck"])[0]]
    for name in ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"):
        found = (points["body"][:, joint_indices([name])[0]] - neck) / scale * torch.tensor([-1.0, -1.0, 1.0])
        torch.testing.assert_close(at(skeleton, name), found)
    for side, names in (("left", SKELETON_LEFT_HAND), ("right", SKELETON_RIGHT_HAND)):
        assert names[1::4] == tuple(f"{side}_hand_{f}1" for f in ("thumb", "index", "middle", "ring", "pinky"))
        for finger, vertex in zip(("thumb", "index", "middle", "ring", "pinky"), FINGERTIPS[side]):
            found = (vertices[:, vertex] - neck) / scale * torch.tensor([-1.0, -1.0, 1.0])
            torch.testing.assert_close(at(skeleton, f"{side}_hand_{finger}4"), found, atol=1e-5, rtol=1e-5)
            chain = torch.stack([at(skeleton, f"{side}_hand_{finger}{i}") for i in (1, 2, 3, 4)])
            from_root = (chain - at(skeleton, f"{side}_hand_root")).norm(dim=-1)
            assert (from_root.diff(dim=0) > 0).all() or finger in ("thumb", "index", "pinky")  # bent ones may turn back
            lengths = chain.diff(dim=0).norm(dim=-1)
            assert (lengths < 0.2).all() and (lengths > 0.01).all()  # neighbours along one finger


def test_shapes_change_no_scale_and_makers_stay(body):
    tall = replace(Motion.rest(1, 20.0), betas=torch.tensor([3.0, *[0.0] * 9]), made_by="model x")
    skeleton = skeleton_50(body, tall)
    shoulders = at(skeleton, "left_shoulder") - at(skeleton, "right_shoulder")
    assert float(shoulders.norm()) == pytest.approx(1.0, abs=1e-5) and skeleton.made_by == "model x"
    mean = skeleton_50(body, Motion.rest(1, 20.0))
    assert not torch.allclose(at(skeleton, "left_wrist"), at(mean, "left_wrist"), atol=0.01)


def test_what_was_not_observed_is_no_position(body):
    with pytest.raises(ValueError, match="the motion lacks left_elbow and others"):
        skeleton_50(body, replace(moving(), lacking=frozenset({"left_wrist", "left_elbow", "jaw"})))
    skeleton_50(body, replace(moving(), lacking=frozenset({"jaw", "pelvis", "left_knee", "expression"})))


def test_a_body_s_skeleton_is_scored_as_the_positions_that_are_written_of_it(body):
    """Same points, and what signatures say of them, for rotations as for positions; so are its bones."""
    motion, view = moving(), BodySkeleton(body)
    written, plain = skeleton_50(body, motion), Skeleton(SKELETON_50, up="-y")
    assert (view.label, view.unit, view.whole, view.point_sets) == (plain.label, plain.unit, plain.whole, plain.point_sets)
    assert view.surface(motion) is None and view.faces is None
    names = ["body", "left_hand", "right_hand", "whole"]
    for of in (motion, written):
        for name, points in plain.track(written, names).items():
            assert torch.equal(view.track(of, names)[name], points)
        assert torch.equal(view.sticks(of).ends, plain.sticks(written).ends)
