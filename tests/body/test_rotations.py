from __future__ import annotations

import math

import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from smplx.joint_names import JOINT_NAMES
from torch import Tensor

from soke.body import joints
from soke.body.rotations import axis_angle_from_6d, axis_angle_to_6d, mirror_axis_angle, slerp_axis_angle
from tests.body.strategies import BATCHES, TYPES, rotations, seeded

MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))


def matrix(rotation: Tensor) -> Tensor:
    """[3] -> [3, 3] by Rodrigues' formula, written out."""
    angle = float(rotation.norm())
    x, y, z = (rotation / angle).tolist() if angle else (0.0, 0.0, 0.0)
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def random_rotations(*shape: int, largest: float = 3.0) -> Tensor:
    """Axis-angle of angles up to `largest`."""
    generator = torch.Generator().manual_seed(sum(shape))
    axes = torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)
    return axes * largest * torch.rand(*shape[:-1], 1, generator=generator)


def close(first: Tensor, second: Tensor, tolerance: float = 1e-5) -> None:
    """Of the same shape and type, and near; a float32 angle is known to about 1e-4 where it comes near to pi."""
    torch.testing.assert_close(first, second, atol=tolerance, rtol=0)


@given(rotations())
def test_6d_is_two_rows_of_a_rotation_matrix(drawn):
    six = axis_angle_to_6d(*drawn).unflatten(-1, (2, 3))
    assert six.shape == (*drawn[0].shape[:-1], 2, 3) and six.dtype == drawn[0].dtype
    close(six @ six.transpose(-1, -2), torch.eye(2, dtype=six.dtype).expand(*six.shape[:-2], 2, 2))
    for rotation, rows in zip(drawn[0].reshape(-1, 3), six.reshape(-1, 2, 3)):
        close(rows.float(), matrix(rotation.float())[:2])  # pytorch3d: matrix[..., :2, :]


@given(rotations())
def test_6d_and_back(drawn):
    (turned,) = drawn
    close(axis_angle_from_6d(axis_angle_to_6d(turned)), turned, 1e-3 if turned.dtype == torch.float32 else 1e-6)


@given(rotations(angles=[math.pi, 4.0, 9.0]))
def test_angles_beyond_half_a_turn_come_back_as_the_same_rotation(drawn):
    (turned,) = drawn
    back = axis_angle_from_6d(axis_angle_to_6d(turned))
    assert (back.norm(dim=-1) <= math.pi + 1e-5).all()
    close(axis_angle_to_6d(back), axis_angle_to_6d(turned), 1e-3 if turned.dtype == torch.float32 else 1e-6)


@given(seeded(), st.sampled_from(BATCHES), st.sampled_from(TYPES))
def test_any_two_rows_become_a_rotation(generator, batch, kind):
    """Closure: the first row is only scaled, the second keeps its half plane."""
    rows = torch.randn(*batch, 2, 3, generator=generator, dtype=kind)
    six = axis_angle_to_6d(axis_angle_from_6d(rows.flatten(-2))).unflatten(-1, (2, 3))
    close(six[..., 0, :], torch.nn.functional.normalize(rows[..., 0, :], dim=-1), 1e-3)
    assert ((six[..., 1, :] * rows[..., 1, :]).sum(-1) >= -1e-3).all()


@given(rotations(2))
def test_mirroring_is_its_own_inverse_and_respects_composition(drawn):
    first, second = drawn
    assert torch.equal(mirror_axis_angle(mirror_axis_angle(first)), first)
    composed = roma.rotvec_composition((first, second))
    mirrored = roma.rotvec_composition((mirror_axis_angle(first), mirror_axis_angle(second)))
    close(axis_angle_to_6d(mirrored), axis_angle_to_6d(mirror_axis_angle(composed)), 1e-3)


@given(rotations(2), st.floats(0, 1))
def test_slerp_turns_evenly_from_the_start_to_the_end(drawn, share):
    start, end = drawn
    shares = torch.full((*start.shape[:-1], 1), share, dtype=start.dtype)
    six = axis_angle_to_6d
    close(six(slerp_axis_angle(start, end, torch.zeros_like(shares))), six(start), 1e-3)
    close(six(slerp_axis_angle(start, end, torch.ones_like(shares))), six(end), 1e-3)
    between = slerp_axis_angle(start, end, shares)
    assert between.shape == start.shape and between.dtype == start.dtype
    assert (between.norm(dim=-1) <= math.pi + 1e-3).all()
    way, gone = (roma.rotvec_composition((roma.rotvec_inverse(start), to)).norm(dim=-1) for to in (end, between))
    close(gone, share * way, 2e-3)
    close(six(slerp_axis_angle(start, start, shares)), six(start), 1e-3)


@given(rotations(2))
def test_a_batch_is_turned_as_each_of_it(drawn):
    start, end = drawn
    quarter = torch.full((*start.shape[:-1], 1), 0.25, dtype=start.dtype)
    six = axis_angle_to_6d(start)
    together = six, axis_angle_from_6d(six), slerp_axis_angle(start, end, quarter)
    for a, b, *found in zip(*(batch.reshape(-1, batch.shape[-1]) for batch in (start, end, *together))):
        close(found[0], axis_angle_to_6d(a))
        close(found[1], axis_angle_from_6d(axis_angle_to_6d(a)))
        close(found[2], slerp_axis_angle(a, b, torch.full((1,), 0.25, dtype=a.dtype)))


def test_6d_of_a_quarter_turn_about_z():
    six = axis_angle_to_6d(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(six, torch.tensor([0.0, -1, 0, 1, 0, 0]), atol=1e-6, rtol=0)


def test_6d_need_not_be_orthonormal():
    """pytorch3d's Gram-Schmidt: the first row is only scaled, the second loses its share of the first."""
    six = torch.tensor([2.0, 0.0, 0.0, 5.0, 3.0, 0.0])
    torch.testing.assert_close(axis_angle_from_6d(six), torch.zeros(3))


def test_mirroring_is_conjugation_with_the_mirror():
    for rotation in random_rotations(20, 3):
        expected = MIRROR @ matrix(rotation) @ MIRROR
        torch.testing.assert_close(matrix(mirror_axis_angle(rotation)), expected, atol=1e-6, rtol=0)


def test_joints_are_named_and_ordered_as_in_smplx():
    assert list(joints.SMPLX_JOINTS) == JOINT_NAMES[: joints.NUM_JOINTS]


def test_joint_indices_follow_the_names():
    names = ["right_wrist", "pelvis", "jaw"]
    assert [joints.SMPLX_JOINTS[i] for i in joints.joint_indices(names)] == names


def test_unknown_joints_are_named():
    with pytest.raises(KeyError, match="tail, wing"):
        joints.joint_indices(["neck", "tail", "wing"])


def test_mirrored_names_are_joints_and_mirror_back():
    for name in joints.SMPLX_JOINTS:
        assert joints.mirrored_name(name) in joints.SMPLX_JOINTS
        assert joints.mirrored_name(joints.mirrored_name(name)) == name
    assert joints.mirrored_name("left_index2") == "right_index2"
    assert joints.mirrored_name("spine1") == "spine1"
