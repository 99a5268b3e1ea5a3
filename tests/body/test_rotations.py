from __future__ import annotations

import math

import pytest
import torch
from smplx.joint_names import JOINT_NAMES
from torch import Tensor

from soke.body import joints
from soke.body.rotations import axis_angle_from_6d, axis_angle_to_6d, mirror_axis_angle

SHAPES = [(3,), (5, 3), (2, 4, 3), (0, 3)]
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


def test_6d_is_the_first_two_rows_of_the_matrix():
    for rotation in [torch.zeros(3), *random_rotations(20, 3)]:
        expected = matrix(rotation)[:2].flatten()  # pytorch3d: matrix[..., :2, :] flattened
        torch.testing.assert_close(axis_angle_to_6d(rotation), expected, atol=1e-6, rtol=0)


def test_6d_of_a_quarter_turn_about_z():
    six = axis_angle_to_6d(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(six, torch.tensor([0.0, -1, 0, 1, 0, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_6d_and_back(shape: tuple[int, ...]):
    rotations = random_rotations(*shape)
    torch.testing.assert_close(axis_angle_from_6d(axis_angle_to_6d(rotations)), rotations, atol=1e-4, rtol=0)


def test_6d_need_not_be_orthonormal():
    """pytorch3d's Gram-Schmidt: the first row is only scaled, the second loses its share of the first."""
    six = torch.tensor([2.0, 0.0, 0.0, 5.0, 3.0, 0.0])
    torch.testing.assert_close(axis_angle_from_6d(six), torch.zeros(3))


@pytest.mark.parametrize("shape", SHAPES)
def test_mirroring_twice_changes_nothing(shape: tuple[int, ...]):
    rotations = random_rotations(*shape)
    assert torch.equal(mirror_axis_angle(mirror_axis_angle(rotations)), rotations)


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
