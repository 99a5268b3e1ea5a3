"""Arms, hands and faces of motions in either form."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, RIGHT_HAND, SMPLX_JOINTS, joint_indices
from soke.body.motion import JointMotion, Motion

SIDES = ("left", "right")
_FINGERS = {"left": LEFT_HAND, "right": RIGHT_HAND}
_ARM = ("shoulder", "elbow", "wrist")
_FACE = ("neck", "head", "jaw", "left_eye_smplhf", "right_eye_smplhf")


def finger_numbers(motion: Motion | JointMotion, side: str) -> list[int]:
    """Which joints are a hand's, without the wrist."""
    if isinstance(motion, JointMotion):
        return [i for i, name in enumerate(motion.joints) if name.startswith(f"{side}_hand_") and not name.endswith("root")]
    return joint_indices(_FINGERS[side])


def arm_numbers(motion: Motion | JointMotion, side: str) -> list[int]:
    names = motion.joints if isinstance(motion, JointMotion) else SMPLX_JOINTS
    return [names.index(f"{side}_{joint}") for joint in _ARM if f"{side}_{joint}" in names]


def fingers(motion: Motion | JointMotion, side: str) -> Tensor:
    """[T, F, 3] rotations of a hand's joints, or its points against the wrist."""
    chosen = finger_numbers(motion, side)
    if isinstance(motion, JointMotion):
        return motion.positions[:, chosen] - _wrist(motion, side)
    return motion.rotations[:, chosen]


def with_fingers(motion: Motion | JointMotion, side: str, values: Tensor) -> Motion | JointMotion:
    """The inverse of `fingers`."""
    chosen = finger_numbers(motion, side)
    if isinstance(motion, JointMotion):
        positions = motion.positions.clone()
        positions[:, chosen] = values + _wrist(motion, side)
        return replace(motion, positions=positions)
    rotations = motion.rotations.clone()
    rotations[:, chosen] = values
    return replace(motion, rotations=rotations)


def arms(motion: Motion | JointMotion) -> Tensor:
    """[T, A, 3] rotations of both arms' joints, or their positions."""
    return _values(motion)[:, [i for side in SIDES for i in arm_numbers(motion, side)]]


def hands(motion: Motion | JointMotion) -> Tensor:
    """[T, F, 3] `fingers` of both hands."""
    return torch.cat([fingers(motion, side) for side in SIDES], dim=1)


def limbs_of(motion: Motion | JointMotion) -> Tensor:
    """[T, L, 3] of both arms and hands."""
    return _values(motion)[:, limb_numbers(motion)]


def with_limbs(motion: Motion | JointMotion, values: Tensor) -> Motion | JointMotion:
    """The inverse of `limbs_of`."""
    every = _values(motion).clone()
    every[:, limb_numbers(motion)] = values
    return replace(motion, **{"positions" if isinstance(motion, JointMotion) else "rotations": every})


def limb_numbers(motion: Motion | JointMotion) -> list[int]:
    roots = [] if isinstance(motion, Motion) else [i for i, name in enumerate(motion.joints) if name.endswith("hand_root")]
    return [*(i for side in SIDES for i in (*arm_numbers(motion, side), *finger_numbers(motion, side))), *roots]


def carried(motion: Motion | JointMotion) -> Tensor:
    """[L, ways] how much each of `limbs_of` goes along where an arm sways: of rotations each has a way of its own; of
    positions there is one per side, which the shoulder does not go, the elbow half, and the hand as a whole."""
    if isinstance(motion, Motion):
        return torch.eye(len(limb_numbers(motion)))
    share = torch.zeros(len(limb_numbers(motion)), len(SIDES))
    for row, number in zip(share, limb_numbers(motion)):
        side, _, point = motion.joints[number].partition("_")
        row[SIDES.index(side)] = {"shoulder": 0.0, "elbow": 0.5}.get(point, 1.0)
    return share


def at_rest_face(motion: Motion) -> Motion:
    """The motion with the face of a body at rest, head and eyes included."""
    rotations = motion.rotations.clone()
    rotations[:, joint_indices(_FACE)] = 0
    lids = None if motion.eyelids is None else torch.zeros_like(motion.eyelids)
    return replace(motion, rotations=rotations, expression=torch.zeros_like(motion.expression), eyelids=lids)


def scale_of(motion: JointMotion) -> float:
    """How far the shoulders are apart, in the corpus's unit."""
    left, right = (motion.positions[:, motion.joints.index(f"{side}_shoulder")] for side in SIDES)
    return float((left - right).norm(dim=-1).mean())


def _wrist(motion: JointMotion, side: str) -> Tensor:
    name = next(name for name in (f"{side}_hand_root", f"{side}_wrist") if name in motion.joints)
    return motion.positions[:, motion.joints.index(name), None]


def _values(motion: Motion | JointMotion) -> Tensor:
    return motion.positions if isinstance(motion, JointMotion) else motion.rotations
