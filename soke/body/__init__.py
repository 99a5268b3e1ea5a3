"""The body: motions, joint names, rotations, the layout of features per part; body models: SMPL-X, the skeleton."""

from soke.lazy import lazy

_HOMES = {
    "Motion": "soke.body.motion",
    "MotionLayout": "soke.body.layout",
    "PartSpec": "soke.body.layout",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
