"""Joint positions of a body's motions, as Progressive Transformers' files hold them, and the body that has no others."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from soke.body.joints import (
    FINGERS,
    LEFT_HAND,
    RIGHT_HAND,
    SKELETON_50,
    SKELETON_BODY,
    SMPLX_JOINTS,
    UPPER_BODY,
    joint_indices,
)
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed, Sticks
from soke.body.skeleton import UNKNOWN_UNIT, Skeleton
from soke.body.skinned import SkinnedBody
from soke.errors import UserError

# Among the 144 points of a body: joints by SMPL-X's numbers, the nose after them.
_BODY = [55, *joint_indices(SKELETON_BODY[1:])]
_SHOULDERS = joint_indices(["left_shoulder", "right_shoulder"])
# Among the 21 points of a hand: the wrist, three joints of each finger as SMPL-X orders them, then the tips.
_STARTS = {"index": 1, "middle": 4, "pinky": 7, "ring": 10, "thumb": 13}
_HAND = [0, *(i for tip, f in enumerate(FINGERS) for i in (*range(_STARTS[f], _STARTS[f] + 3), 16 + tip))]
_AXES = (-1.0, -1.0, 1.0)  # SMPL-X has the signer's left at +x and y up, these files her right and y down
# Points of OpenPose's body that the 50 joints lack and SMPL-X's joints too, among the 144.
_MORE = {
    "right_eye": 56, "left_eye": 57, "right_ear": 58, "left_ear": 59, "left_big_toe": 60, "left_small_toe": 61,
    "left_heel": 62, "right_big_toe": 63, "right_small_toe": 64, "right_heel": 65,
}
_LEG = ("hip", "knee", "ankle", "foot")
# The joints that a motion has to have.
SKELETON_NEEDS = frozenset((*UPPER_BODY, *LEFT_HAND, *RIGHT_HAND))


def skeleton_50(body: SkinnedBody, motion: Motion) -> JointMotion:
    """The joints of `SKELETON_50`: the neck at the origin in every frame, x to the signer's right, y down, z forward,
    and the shoulders of the body at rest, in the motion's shape, 1 apart.

    The neck is SMPL-X's joint, which lies above OpenPose's, the middle of the shoulders.

    body: SMPL-X or SMPL-FX

    Raises ValueError for a motion that lacks joints of the head, the arms or the hands.
    """
    _require_seen(motion)
    return _joined(body, motion, SKELETON_50)


def _require_seen(motion: Motion) -> None:
    """Raises ValueError for a motion that lacks joints of the head, the arms or the hands."""
    if lacking := sorted(SKELETON_NEEDS & motion.lacking):
        raise ValueError(f"the motion lacks {lacking[0]}{' and others' * (len(lacking) > 1)}")


def named_joints(body: Posed, motion: Motion | JointMotion, source: str = "the motion") -> JointMotion:
    """What tools know of a motion, in the space of `skeleton_50`: its joints, SMPL-X's 55 by their names, and eyes,
    ears and feet, but for what a leg moves that nobody saw; of a motion of positions those, as they are.

    source: of the motion, for errors

    Raises UserError for positions in another space, ValueError as `skeleton_50` does.
    """
    require_points(body, source)
    body = body.body if isinstance(body, BodySkeleton) else body
    if isinstance(motion, JointMotion):
        return motion
    _require_seen(motion)
    unseen = {
        f"{side}_{point}" for side in ("left", "right") if motion.lacking & {f"{side}_{joint}" for joint in _LEG}
        for point in (*_LEG[1:], "big_toe", "small_toe", "heel")
    }
    names = dict.fromkeys((*SKELETON_50, *SMPLX_JOINTS, *_MORE))
    return _joined(body, motion, tuple(name for name in names if name not in unseen))


def require_points(body: Posed, source: str) -> None:
    """Raises UserError for a skeleton of positions in another space than that of `skeleton_50`; source: as of
    `named_joints`"""
    if isinstance(body, Skeleton) and (body.unit, body.up) != (UNKNOWN_UNIT, "-y"):
        raise UserError(
            f"the positions of {source} are in {body.unit}, {body.up} is up: only those of .skels files, whose "
            "shoulders are about 1 apart and whose y points down, are written"
        )


def _joined(body: SkinnedBody, motion: Motion, names: tuple[str, ...]) -> JointMotion:
    """As `skeleton_50`, of its joints and others after them."""
    points = body.track(motion, ["body", "left_hand", "right_hand"])
    joints = torch.cat([points["body"][:, _BODY], *(points[f"{side}_hand"][:, _HAND] for side in ("left", "right"))], 1)
    more = [_MORE[name] if name in _MORE else SMPLX_JOINTS.index(name) for name in names[len(SKELETON_50):]]
    rest = replace(Motion.rest(1, motion.fps), betas=motion.betas)
    left, right = body.track(rest, ["body"])["body"][0, _SHOULDERS]
    neck = SKELETON_50.index("neck")
    positions = (torch.cat([joints, points["body"][:, more]], 1) - joints[:, neck, None]) / (left - right).norm()
    return JointMotion((positions * joints.new_tensor(_AXES)).cpu(), names, motion.fps, motion.made_by)


class BodySkeleton(Skeleton):
    """The 50 joints of a body that rotations pose, in the place of that body: what is scored and drawn of it is what is
    scored and drawn of joint positions, with the same signatures. Motions of positions are taken, too.

    body: SMPL-X or SMPL-FX
    """

    def __init__(self, body: SkinnedBody):
        super().__init__(SKELETON_50, up="-y")
        self.body = body

    def to(self, device: torch.device | str) -> BodySkeleton:
        self.body.to(device)
        super().to(device)
        return self

    def track(self, motion: Motion | JointMotion, names: Collection[str] | None = None) -> dict[str, Tensor]:
        return super().track(self._joints(motion), names)

    def sticks(self, motion: Motion | JointMotion) -> Sticks:
        return super().sticks(self._joints(motion))

    def _joints(self, motion: Motion | JointMotion) -> JointMotion:
        return motion if isinstance(motion, JointMotion) else skeleton_50(self.body, motion)
