"""The body model gives smplx's own numbers, from the vertices that the asked-for joints need."""
from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest
import torch

from soke.body import Motion
from soke.body.joints import joint_indices
from soke.body.model import load_body_model
from soke.body.motion import JointMotion
from soke.body.skinned import FINGERTIPS
from soke.body.smplx import BodyModel
from soke.errors import UserError


@pytest.fixture(scope="module")
def motion() -> Motion:
    torch.manual_seed(3)
    return Motion(torch.randn(9, 55, 3) * 0.3, torch.randn(9, 10), torch.randn(10), 25.0)


@pytest.fixture(scope="module")
def reference(body: BodyModel, motion: Motion):
    """One plain forward pass of the smplx package."""
    r = motion.rotations
    frames = len(motion)
    return body._model(
        betas=motion.betas.expand(frames, -1), global_orient=r[:, 0], body_pose=r[:, 1:22].flatten(1),
        jaw_pose=r[:, 22], leye_pose=r[:, 23], reye_pose=r[:, 24], left_hand_pose=r[:, 25:40].flatten(1),
        right_hand_pose=r[:, 40:].flatten(1), transl=torch.zeros(frames, 3),
        expression=torch.cat([motion.expression, torch.zeros(frames, body._model.num_expression_coeffs - 10)], 1),
    )


def test_vertices_are_those_of_smplx(body, motion, reference):
    torch.testing.assert_close(body.vertices(motion), reference.vertices, atol=1e-5, rtol=0)


def test_joints_are_those_of_smplx(body, motion, reference):
    joints = body.joints(motion)
    assert joints.shape == (9, 144, 3)
    torch.testing.assert_close(joints, reference.joints, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_hand_joints_are_regressed_from_the_posed_mesh(body, motion, reference, side):
    wrist, first = (20, 25) if side == "left" else (21, 40)
    rows = [wrist, *range(first, first + 15)]
    expected = torch.cat(
        [body._model.J_regressor[rows] @ reference.vertices, reference.vertices[:, list(FINGERTIPS[side])]], dim=1
    )
    torch.testing.assert_close(body.hand_joints(motion, side), expected, atol=1e-5, rtol=0)


def test_long_motions_equal_their_pieces(body):
    motion = Motion(torch.randn(150, 55, 3) * 0.2, torch.zeros(150, 10), torch.zeros(10), 25.0)
    piece = motion.frames(slice(70, 90))
    torch.testing.assert_close(body.vertices(motion)[70:90], body.vertices(piece), atol=1e-6, rtol=0)


def test_empty_motion_has_no_frames(body):
    empty = Motion.rest(0, 25.0)
    assert body.joints(empty).shape == (0, 144, 3)
    assert body.hand_joints(empty, "left").shape == (0, 21, 3)
    assert body.vertices(empty).shape[0] == 0


def test_fixed_betas_replace_those_of_the_motion(body, motion):
    fixed = BodyModel(body.file, "stand-in", flat_hand_mean=True, betas=torch.zeros(10))
    other = Motion(motion.rotations, motion.expression, torch.zeros(10), 25.0)
    torch.testing.assert_close(fixed.joints(motion), fixed.joints(other))
    assert not torch.allclose(fixed.joints(motion), body.joints(motion), atol=1e-3)


def test_hand_vertices_lie_at_the_hands(body):
    wrists = body.joints(Motion.rest(1, 25.0))[0, joint_indices(["left_wrist", "right_wrist"])]
    for wrist, side in zip(wrists, ("left", "right")):
        hand = body.template[body.hand_vertices[side]]
        assert len(hand) == 778
        assert (hand - wrist).norm(dim=1).max() < 0.25


def test_what_of_a_motion_moves_nothing_is_named_once(body, caplog):
    posed = BodyModel(body.file, "stand-in", flat_hand_mean=True)
    rest = Motion.rest(3, 25.0, 100)
    moved = replace(rest, expression=torch.eye(100)[[0, 38, 39]])
    assert posed.expressions == 39
    shifts = (posed.surface(moved) - posed.surface(rest)).norm(dim=2).amax(dim=1)
    assert (shifts[:2] > 1e-4).all() and shifts[2] == 0
    lids = replace(moved, eyelids=torch.ones(3, 2))
    assert torch.equal(posed.track(lids)["body"], posed.track(moved)["body"])
    assert [record.message for record in caplog.records] == [
        "the body model stand-in has no expressions beyond 39: those of the motions are neither scored nor shown"
    ]
    caplog.clear()
    other = BodyModel(body.file, "stand-in", flat_hand_mean=True)
    for _ in range(2):
        other.track(replace(rest, eyelids=torch.zeros(3, 2)))
        other.track(lids)
    assert [record.message for record in caplog.records] == [
        "the body model stand-in has no eyelids and no expressions beyond 39: those of the motions are neither scored "
        "nor shown"
    ]


def test_point_sets_are_the_joints_and_no_others_are_computed(body, motion, monkeypatch):
    points = body.track(motion)
    assert torch.equal(points["body"], body.joints(motion))
    assert torch.equal(points["right_hand"], body.hand_joints(motion, "right"))
    assert {name: p.shape[1] for name, p in points.items()} == {n: s.total for n, s in body.point_sets.items()}
    monkeypatch.setattr(BodyModel, "joints", None)
    monkeypatch.setattr(BodyModel, "face_points", None)
    assert list(body.track(motion, ["left_hand"])) == ["left_hand"]
    assert torch.equal(body.surface(motion), body.vertices(motion)) and body.sticks(motion) is None
    with pytest.raises(ValueError, match="stand-in poses rotations, the motion holds joint positions"):
        body.track(JointMotion(torch.zeros(2, 1, 3), ("neck",), 25.0))


def test_licensed_model_takes_precedence(body, tmp_path):
    (tmp_path / "smplx").mkdir()
    (tmp_path / "smplx" / "SMPLX_NEUTRAL.npz").symlink_to(body.file.resolve())
    assert load_body_model(tmp_path).name == "smplx"


def test_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match="SMPLX_NEUTRAL.npz"):
        load_body_model(tmp_path)


def test_scores_of_one_shape_are_told_from_those_of_another(body):
    """A signature that does not say which shape moved the joints would let scores of two shapes share a column."""
    labels = []
    for shape in (None, torch.zeros(10), torch.eye(10)[0], 2 * torch.eye(10)[0]):
        shaped = copy.copy(body)
        shaped.fixed_betas = shape
        labels.append(shaped.label)
    assert labels[:2] == ["stand-in,flat-hands,own-betas", "stand-in,flat-hands"]
    assert len(set(labels)) == 4 and all(re.fullmatch(f"{labels[1]},betas-[0-9a-f]{{8}}", label) for label in labels[2:])
