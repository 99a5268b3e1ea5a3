"""The body: motions, joint names, rotations, the layout of features per part, and the SMPL-X model."""
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion

__all__ = ["Motion", "MotionLayout", "PartSpec"]
