"""What the oracle sees of a frame: numbers whose squared distance is a weighted mean of squared differences."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from soke.body.joints import (
    LEFT_HAND,
    RIGHT_HAND,
    SKELETON_LEFT_HAND,
    SKELETON_RIGHT_HAND,
    joint_indices,
)
from soke.body.motion import JointMotion, Motion

_ARM_JOINTS = [f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")]
_FINGER_JOINTS = [*RIGHT_HAND, *LEFT_HAND]
ARMS_AND_HANDS = frozenset((*_ARM_JOINTS, *_FINGER_JOINTS))  # names of the joints whose rotations are seen
_ARMS, _FINGERS = joint_indices(_ARM_JOINTS), joint_indices(_FINGER_JOINTS)
_ARM_BONES = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("right", "left") for start, end in (("shoulder", "elbow"), ("elbow", "wrist"))
]
_FINGER_BONES = [  # of each finger from the wrist to the tip
    (hand[0] if point % 4 == 1 else hand[point - 1], hand[point])
    for hand in (SKELETON_RIGHT_HAND, SKELETON_LEFT_HAND) for point in range(1, len(hand))
]
POINTS = frozenset(joint for bone in (*_ARM_BONES, *_FINGER_BONES) for joint in bone)  # names of the joints whose positions are
_FACE = 0.3  # of expression coefficients, whose unit is a standard deviation, against a radian [A]


def hand_features(motion: Motion | JointMotion) -> Tensor:
    """[T, D] of arms and hands: the squared distance of two frames is, for small turns, the mean of the squared angles,
    in radians, between arms and between fingers, both counting half; of positions, between the directions of their
    bones, which do not depend on a signer's shape. Raises KeyError for joints that are none of the 50."""
    if isinstance(motion, JointMotion):
        return _of_positions(motion)
    import roma  # see soke.body.rotations

    parts = []
    for joints in (_ARMS, _FINGERS):
        matrices = roma.rotvec_to_rotmat(motion.rotations[:, joints].float())  # [T, J, 3, 3], 2 angle² apart
        parts.append(matrices.flatten(1) * (0.5 / (2 * len(joints))) ** 0.5)
    return torch.cat(parts, dim=1)


def face_features(motion: Motion) -> Tensor:
    """[T, D] of the head, the jaw and the expression."""
    turns = motion.rotations[:, joint_indices(["neck", "head", "jaw"])].flatten(1).float()
    return torch.cat([turns, _FACE * motion.expression.float()], dim=1)


def _of_positions(motion: JointMotion) -> Tensor:
    at = {name: motion.positions[:, number].float() for number, name in enumerate(motion.joints)}
    parts = []
    for bones in (_ARM_BONES, _FINGER_BONES):
        directions = [normalize(at[end] - at[start], dim=-1) for start, end in bones]
        parts.append(torch.cat(directions, dim=1) * (0.5 / len(bones)) ** 0.5)
    return torch.cat(parts, dim=1)
