"""The head of a surface: where a close-up looks."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from soke.body.joints import joint_indices

_HEAD_AND_NECK = ["neck", "head", "jaw", "left_eye_smplhf", "right_eye_smplhf"]
_BUST = [*_HEAD_AND_NECK, "spine3", "left_collar", "right_collar", "left_shoulder", "right_shoulder"]


@dataclass(frozen=True)
class Head:
    """Vertices of a surface of V.

    joint:    [V] what posed vertices are weighed with to give the place of the head's joint
    vertices: [N] of head and neck
    bust:     [M] those and what lies around them, without forearms and hands, which would hide the face
    """

    joint: Tensor
    vertices: Tensor
    bust: Tensor


def head_of(weights: Tensor, regressor: Tensor) -> Head:
    """The head of a body in SMPL-X's joints: a vertex belongs to the joints that move it by more than half.

    weights:   [V, 55] skinning weights
    regressor: [55, V] joints of vertices
    """
    (head,) = joint_indices(["head"])
    vertices, bust = (
        (weights[:, joint_indices(joints)].sum(1) > 0.5).nonzero().squeeze(1) for joints in (_HEAD_AND_NECK, _BUST)
    )
    return Head(regressor[head], vertices, bust)
