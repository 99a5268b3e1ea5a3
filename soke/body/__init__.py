"""The body: motions, joint names, rotations, the layout of features per part, and the SMPL-X model."""

from soke.lazy import lazy

_HOMES = {
    "Motion": "soke.body.motion",
    "MotionLayout": "soke.body.layout",
    "PartSpec": "soke.body.layout",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
