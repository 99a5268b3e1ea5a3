"""Rotation representations: axis-angle in radians, and the field's 6D form (first two rows of the matrix).

roma is imported where it is used: it loads torch's compiler, for seconds, which axis-angle features do without.
"""
from __future__ import annotations

import torch
from torch import Tensor


def axis_angle_to_6d(rotations: Tensor) -> Tensor:
    """[..., 3] axis-angle in radians -> [..., 6], rows 0 and 1 of the rotation matrix, flattened.

    This is the pytorch3d convention that sign language data uses; roma's own 6D form takes two columns.
    """
    import roma

    return roma.rotvec_to_rotmat(rotations)[..., :2, :].flatten(-2)


def axis_angle_from_6d(six: Tensor) -> Tensor:
    """[..., 6] -> [..., 3] axis-angle in radians, |angle| <= pi; Gram-Schmidt makes any non-degenerate input valid."""
    import roma

    columns = six.unflatten(-1, (2, 3)).transpose(-1, -2)  # rows of R are the columns of its transpose
    transposed = roma.special_gramschmidt(columns)  # [..., 3, 3]
    return roma.rotmat_to_rotvec(transposed.transpose(-1, -2))


def mirror_axis_angle(rotations: Tensor) -> Tensor:
    """[..., 3] -> [..., 3], the rotation seen in the sagittal mirror: R' = M R M with M = diag(-1, 1, 1) (M3T)."""
    return rotations * torch.tensor([1.0, -1.0, -1.0], dtype=rotations.dtype, device=rotations.device)


def slerp_axis_angle(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """[..., 3], [..., 3] -> [..., 3], on the shorter way from `start` (`share` [..., 1] of 0) to `end` (1), evenly
    turned; |angle| <= pi."""
    import roma

    turn = roma.rotvec_composition((roma.rotvec_inverse(start), end))
    return roma.rotvec_composition((start, share * turn))


def turned_axis_angle(rotations: Tensor, turns: Tensor) -> Tensor:
    """[..., 3], [..., 3] -> [..., 3], each rotation after its turn, in the form that is nearest to `rotations`."""
    import roma

    return nearest_axis_angle(roma.rotvec_composition((rotations, turns)), rotations)


def nearest_axis_angle(rotations: Tensor, like: Tensor) -> Tensor:
    """[..., 3], [..., 3] -> [..., 3], the same rotations, each in the axis-angle form that is nearest to `like`: forms of
    one rotation are whole turns apart, and features of them leap where neighbours are in different ones. (Around a whole
    turn itself none is near: any axis is the rotation's.)"""
    angle, theirs = (rotation.norm(dim=-1, keepdim=True) for rotation in (rotations, like))
    still = angle < 1e-6  # any axis is the rotation's, so it takes the other one's
    axis = torch.where(still, like, rotations) / torch.where(still, theirs, angle).clamp_min(1e-12)
    turns = ((like - rotations) * axis).sum(-1, keepdim=True).div(2 * torch.pi).round()
    return rotations + 2 * torch.pi * turns * axis
