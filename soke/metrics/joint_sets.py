"""The joints that the field's scores are taken over: which are aligned, which are scored, and their positions."""
from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from soke.body.model import BodyModel
from soke.body.motion import Motion


@dataclass(frozen=True)
class JointSet:
    """Joints of one part: all `total` of them are aligned, those in `scored` enter the error.

    Attributes:
        part: "body" or "hand", as it stands in signatures and tables.
        total: number of joints J of the arrays [T, J, 3]; joint 0 is the root (pelvis, or wrist).
        scored: indices into the J joints.
    """

    part: str
    total: int
    scored: tuple[int, ...]

    @property
    def label(self) -> str:
        """As it stands in a signature, for example "12of144"."""
        return f"{len(self.scored)}of{self.total}"


# SOKE's evaluation: neck, shoulders, elbows, wrists, ears, eyes, nose, among the 144 joints that smplx returns.
BODY_JOINTS = JointSet("body", 144, (12, 16, 17, 18, 19, 20, 21, 59, 58, 57, 56, 55))
# Wrist, 15 finger joints, 5 fingertips.
HAND_JOINTS = JointSet("hand", 21, tuple(range(21)))
JOINT_SETS = {joints.part: joints for joints in (BODY_JOINTS, HAND_JOINTS)}
# Part of a `Track` -> its joints; and its weight in SOKE's average, (12 body + 42 hand) / 54.
TRACK_JOINTS = {"body": BODY_JOINTS, "left_hand": HAND_JOINTS, "right_hand": HAND_JOINTS}
WEIGHTS = {part: len(joints.scored) for part, joints in TRACK_JOINTS.items()}

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Track:
    """What is scored of one clip of T frames, in metres; a part that is not there is None.

    body:       [T, 144, 3] smplx's joints
    left_hand:  [T, 21, 3], wrist first
    right_hand: [T, 21, 3], wrist first
    face:       [T, 1 + F, 3] the head joint, then the vertices of the face
    fps:        frames per second
    """

    body: Array | None
    left_hand: Array | None
    right_hand: Array | None
    face: Array | None
    fps: float

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are there."""
        return tuple(f.name for f in fields(self) if f.name != "fps" and getattr(self, f.name) is not None)

    def __len__(self) -> int:
        return len(getattr(self, self.parts[0])) if self.parts else 0


def track_of(body: BodyModel, motion: Motion, face: bool = True) -> Track:
    """The scored points of a motion, on the body model's device."""
    motion = motion.to(body.template.device)
    return Track(
        body.joints(motion), body.hand_joints(motion, "left"), body.hand_joints(motion, "right"),
        body.face_points(motion) if face else None, motion.fps,
    )
