"""The joints that the field's scores are taken over: which are aligned, which are scored."""
from __future__ import annotations

from dataclasses import dataclass


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
