"""The head of a surface: where a close-up looks."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soke.body.joints import joint_indices

_HEAD_AND_NECK = ["neck", "head", "jaw", "left_eye_smplhf", "right_eye_smplhf"]
_BUST = [*_HEAD_AND_NECK, "spine3", "left_collar", "right_collar", "left_shoulder", "right_shoulder"]


_RIGID = 0.99  # least weight of the head's joint on a vertex that goes with it, as a share of its greatest
_STILL = 0.05  # and how far the expression may move it, as a share of how far it moves any


@dataclass(frozen=True)
class Head:
    """Vertices of a surface of V.

    joint:    [V] what posed vertices are weighed with to give the place of the head's joint, which a turning head and
              a moving face leave where it is
    vertices: [N] of head and neck
    bust:     [M] those and what lies around them, without forearms and hands, which would hide the face
    """

    joint: Tensor
    vertices: Tensor
    bust: Tensor


def head_of(weights: Tensor, template: Tensor, directions: Tensor, joint: Tensor) -> Head:
    """The head of a body in SMPL-X's joints: a vertex belongs to the joints that move it by more than half.

    weights:    [V, 55] skinning weights
    template:   [V, 3] the unposed mesh
    directions: [V, 3, E] of its expression
    joint:      [3] the head's joint of the template
    """
    vertices, bust = (
        (weights[:, joint_indices(joints)].sum(1) > 0.5).nonzero().squeeze(1) for joints in (_HEAD_AND_NECK, _BUST)
    )
    return Head(_joint_weights(weights, template, directions, joint), vertices, bust)


def _joint_weights(weights: Tensor, template: Tensor, directions: Tensor, joint: Tensor) -> Tensor:
    """[V] of the skull alone, which the head moves as one piece: whatever affine combination of its vertices is the
    joint of the template is it in every pose. The most even one of them. (The body model's own regressor takes
    vertices of neck and mouth too.)"""
    (head,) = joint_indices(["head"])
    moves = directions.norm(dim=1).amax(dim=1)
    rigid = weights[:, head] >= _RIGID * weights[:, head].max()
    skull = (rigid & (moves <= _STILL * moves.max())).nonzero().squeeze(1)
    points = torch.cat([torch.ones_like(template[skull, :1]), template[skull]], dim=1).double().T  # [4, S]
    target = torch.cat([torch.ones_like(joint[:1]), joint]).double()
    even = torch.full_like(points[0], 1 / len(skull))
    even = even + torch.linalg.pinv(points) @ (target - points @ even)
    return template.new_zeros(len(template)).index_copy(0, skull, even.to(template))
