"""A rig has the body's joints, and the body's surface within what is said of it."""
from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, joint_indices
from soke.body.model import load_smplfx
from soke.body.motion import Motion
from soke.body.rig import rig_of
from soke.body.skinned import SkinnedBody

(RIGHT_SHOULDER,) = joint_indices(["right_shoulder"])


@pytest.fixture(scope="module")
def smplfx(body) -> SkinnedBody:
    return load_smplfx(body.file.parents[2])  # with curled hands


@pytest.fixture(scope="module", params=["smplx", "smplfx"])
def posed(request, body, smplfx) -> SkinnedBody:
    return body if request.param == "smplx" else smplfx


def signing_motion(frames: int = 20) -> Motion:
    """Both arms raised and moving before the chest, fingers that open and close, head, jaw and face that move."""
    t = torch.linspace(0, 2 * torch.pi, frames)
    motion = random_motion(frames, turn=0.02)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow = joint_indices([f"{side}_shoulder", f"{side}_elbow"])
        motion.rotations[:, shoulder] += torch.stack([0 * t, -0.6 * sign + 0.3 * t.sin(), -1.0 * sign + 0 * t], dim=1)
        motion.rotations[:, elbow, 1] += sign * (-1.6 + 0.4 * t.cos())
    motion.rotations[:, joint_indices(LEFT_HAND)] += 0.5 * (1 + t.cos())[:, None, None]
    motion.rotations[:, joint_indices(["head", "jaw"]), 0] += 0.2 * (1 + t.sin())[:, None]
    return motion


def random_motion(frames: int = 5, turn: float = 0.5, face: float = 1.0) -> Motion:
    g = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    return Motion(
        turn * noise(frames, 55, 3), face * noise(frames, 100), noise(10), 25.0, face * noise(frames, 2).abs(),
        head_shape=0.5 * noise(300),
    )


def test_joints_are_the_bodys(posed):
    motion = random_motion(turn=1.5)
    _, places = posed.rig(motion).transforms()
    torch.testing.assert_close(places, posed.joints(motion)[:, :55], atol=1e-5, rtol=0)


def test_signing_is_within_the_stated_bound(posed):
    signing = signing_motion()
    rig = posed.rig(signing)
    most, mean = rig.deviation(posed.surface(signing))
    assert 0 < mean <= 5e-5 and most <= 0.003, (most, mean)
    assert rig.morphs and len(rig) == len(signing) and rig.fps == signing.fps


def test_vertices_of_four_joints_are_exact_in_any_pose(posed):
    """But for a face that moves joints, which moves the vertices that two of them share."""
    few = (posed.weights > 0).sum(dim=1) <= 4
    assert 0.9 < few.float().mean() < 1
    for face, atol in ((0.0, 1e-5), (1.0, 1e-3)):
        motion = random_motion(face=face)
        surface, exact = posed.rig(motion).surface(), posed.surface(motion)
        torch.testing.assert_close(surface[:, few], exact[:, few], atol=atol, rtol=0)


def test_of_more_joints_one_that_moves_like_another_gives_its_weight(body):
    """In a motion of the right arm alone, a vertex of the collar keeps it, and its spine is one joint's."""
    vertex = int(((body.weights > 0).sum(dim=1) > 4).float().mul(body.weights[:, RIGHT_SHOULDER]).argmax())
    motion = Motion.rest(3, 25.0)
    motion.rotations[:, RIGHT_SHOULDER, 2] = torch.tensor([0.0, 0.8, 1.2])
    rig = body.rig(motion)
    kept = rig.weights[vertex, rig.influences[vertex] == RIGHT_SHOULDER]
    torch.testing.assert_close(kept, body.weights[vertex, RIGHT_SHOULDER].reshape(1))
    torch.testing.assert_close(rig.surface(), body.surface(motion), atol=1e-5, rtol=0)


def test_weights_of_any_number_of_joints_become_those_of_four(body):
    """One joint a vertex, which is exact, and all 55 with noise of a millionth, as fits of bodies have it."""
    motion = random_motion(2, face=0.0)
    coefficients, arguments = body._coefficients(motion), (body.faces, body.colors, motion.fps)
    one = torch.nn.functional.one_hot(body.weights.argmax(dim=1), 55).float()
    noisy = one + 1e-6
    for weights in (one, noisy / noisy.sum(dim=1, keepdim=True)):
        skin = replace(body._skin, weights=weights)
        rig = rig_of(skin, body._parents, motion.rotations, coefficients, *arguments)
        assert rig.weights.shape == (10475, 4)
        torch.testing.assert_close(rig.weights.sum(dim=1), torch.ones(10475))
        exact, _ = skin.pose(motion.rotations, coefficients, body._parents)
        torch.testing.assert_close(rig.surface(), exact, atol=2e-4, rtol=0)


def test_correctives_are_lost_and_nothing_more(body):
    motion = random_motion(face=0.0)
    correctives = 0.002 * torch.randn(486, 3 * 10475, generator=torch.Generator().manual_seed(0))
    skin = replace(body._skin, correctives=correctives)
    coefficients = body._coefficients(motion)
    rig = rig_of(skin, body._parents, motion.rotations, coefficients, body.faces, body.colors, motion.fps)
    exact, _ = skin.pose(motion.rotations, coefficients, body._parents)
    turned = roma.rotvec_to_rotmat(motion.rotations)[:, 1:] - torch.eye(3)
    lost = (turned.flatten(1) @ correctives).view(5, -1, 3).norm(dim=2)
    few = (body.weights > 0).sum(dim=1) <= 4
    off = (rig.surface() - exact).norm(dim=2)
    assert (off[:, few] <= lost[:, few] + 1e-5).all() and off.mean() > 0.5 * lost.mean()


def test_influences_are_whole_and_those_of_four_joints_the_bodys(posed):
    rig = posed.rig(random_motion(1))
    torch.testing.assert_close(rig.weights.sum(dim=1), torch.ones(len(rig.vertices)))
    assert (rig.weights[:, :-1] >= rig.weights[:, 1:]).all()
    few = (posed.weights > 0).sum(dim=1) <= 4
    torch.testing.assert_close(rig.weights[few], posed.weights[few].topk(4, dim=1).values)
    assert all(parent < joint for joint, parent in enumerate(rig.parents)) and rig.parents[0] == -1


def test_morphs_are_the_coefficients_that_move_anything(body):
    still = Motion.rest(4, 25.0, 12)
    expression = still.expression.clone()
    expression[2, 3], expression[1, 11], expression[0, 5] = 1.0, -2.0, 1e-4  # the last moves nothing by 10 µm
    rig = body.rig(replace(still, expression=expression))
    assert [morph.name for morph in rig.morphs] == ["expression_003", "expression_011"]
    assert torch.equal(rig.morphs[1].weights, expression[:, 11])
    moved = body.expression_directions[..., 11].norm(dim=1).argmax()
    assert moved in rig.morphs[1].vertices and len(rig.morphs[1].vertices) < 0.5 * len(rig.vertices)
    assert body.rig(still).morphs == () and len(body.rig(still.frames(slice(0, 0)))) == 0


def test_eyelids_close_and_teeth_are_there(smplfx):
    closed = replace(Motion.rest(2, 25.0, 100), eyelids=torch.ones(2, 2))
    rig = smplfx.rig(closed)
    assert [morph.name for morph in rig.morphs] == ["eyelids_000", "eyelids_001"] and len(rig.vertices) == 10595
    torch.testing.assert_close(rig.surface(), smplfx.surface(closed), atol=1e-4, rtol=0)


def test_quaternions_do_not_leap(body):
    """Half a turn and more about one axis, whose axis-angle form comes back to the other side."""
    angles = torch.linspace(-3 * torch.pi, 3 * torch.pi, 60)
    motion = Motion.rest(60, 25.0)
    motion.rotations[:, 16, 1] = torch.remainder(angles + torch.pi, 2 * torch.pi) - torch.pi
    turned = body.rig(motion).rotations
    torch.testing.assert_close(turned.norm(dim=2), torch.ones(60, 55))
    assert ((turned[1:] * turned[:-1]).sum(dim=2) > 0.9).all()
