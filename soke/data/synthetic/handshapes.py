"""Handshapes of the synthetic sign languages, as finger rotations of the right hand."""
from __future__ import annotations

import torch
from torch import Tensor

# Bend of the three knuckles of a finger, degrees.
_STRAIGHT, _SLACK, _CURVED, _BENT = (0, 0, 0), (18, 25, 15), (38, 42, 28), (75, 5, 5)
_CLAW, _HOOK, _ROUND, _FIST = (12, 62, 45), (20, 92, 60), (54, 46, 30), (84, 92, 60)

# Rotation of the three thumb joints, degrees about (x, y, z).
_THUMBS = {
    "side": ((0, 0, 0), (0, 0, 0), (0, 0, 0)),
    "out": ((-10, 13, 10), (-14, 12, -9), (-10, 16, 9)),
    "across": ((22, -21, 1), (18, -17, 1), (8, -9, -5)),
    "round": ((27, -26, -22), (-4, 7, 22), (-8, 11, 4)),
}

# Name -> (index, middle, ring, pinky, spread of neighbouring fingers in degrees, thumb).
_SHAPES = {
    "fist": (_FIST, _FIST, _FIST, _FIST, 0, "across"),
    "thumb": (_FIST, _FIST, _FIST, _FIST, 0, "out"),
    "flat": (_STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, 0, "side"),
    "bent": (_BENT, _BENT, _BENT, _BENT, 0, "side"),
    "spread": (_STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, 12, "out"),
    "claw": (_CLAW, _CLAW, _CLAW, _CLAW, 12, "out"),
    "point": (_STRAIGHT, _FIST, _FIST, _FIST, 0, "across"),
    "right_angle": (_STRAIGHT, _FIST, _FIST, _FIST, 0, "out"),
    "two": (_STRAIGHT, _STRAIGHT, _FIST, _FIST, 0, "across"),
    "fork": (_STRAIGHT, _STRAIGHT, _FIST, _FIST, 14, "across"),
    "three": (_STRAIGHT, _STRAIGHT, _STRAIGHT, _FIST, 12, "across"),
    "pinky": (_FIST, _FIST, _FIST, _STRAIGHT, 0, "across"),
    "wide": (_FIST, _FIST, _FIST, _STRAIGHT, 8, "out"),
    "horns": (_STRAIGHT, _FIST, _FIST, _STRAIGHT, 6, "out"),
    "hook": (_HOOK, _FIST, _FIST, _FIST, 0, "across"),
    "fangs": (_CLAW, _CLAW, _FIST, _FIST, 12, "across"),
    "curve": (_CURVED, _CURVED, _CURVED, _CURVED, 0, "side"),
    "ring": (_ROUND, _ROUND, _ROUND, _ROUND, 0, "round"),
    "pick": (_ROUND, _STRAIGHT, _STRAIGHT, _STRAIGHT, 9, "round"),
    "slack": (_SLACK, _SLACK, _SLACK, _SLACK, 3, "side"),
}
NAMES = tuple(name for name in _SHAPES if name != "slack")  # "slack" is the hand at rest
_SPREAD = {"index": 1.0, "middle": 0.15, "ring": -0.65, "pinky": -1.6}  # in units of the shape's spread
_ORDER = ("index", "middle", "pinky", "ring")  # of the body model; the thumb comes last


def _degrees(name: str) -> list[tuple[float, float, float]]:
    index, middle, ring, pinky, spread, thumb = _SHAPES[name]
    bends = {"index": index, "middle": middle, "ring": ring, "pinky": pinky}
    joints = []
    for finger in _ORDER:
        first, *others = bends[finger]
        joints += [(0.0, _SPREAD[finger] * spread, first), *((0.0, 0.0, bend) for bend in others)]
    return [*joints, *_THUMBS[thumb]]


# [19, 15, 3] axis-angle in radians, shapes in the order of `NAMES`, joints in the order of the body model.
HANDSHAPES: Tensor = torch.deg2rad(torch.tensor([_degrees(name) for name in NAMES]))
SLACK: Tensor = torch.deg2rad(torch.tensor(_degrees("slack")))  # [15, 3]
# Whether a shape has a stretched finger to touch with.
LONG: Tensor = torch.tensor([_STRAIGHT in _SHAPES[name][:4] for name in NAMES])
