"""Skeleton: the body of motions that are joint positions. No surface; its joints are scored and drawn as bones."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from soke.body.joints import DWPOSE_FACE, FINGERS, next_towards_root
from soke.body.motion import JointMotion, Motion
from soke.body.posed import WHOLE, JointSet, Landmarks, Sticks

UNKNOWN_UNIT = "unit"  # of positions in a corpus's own unit, which may be anything
IMAGE = "image"  # of positions in a picture of the signer, whose right hand is at small x there
Up = Literal["+y", "-y"]

_ROOTS = ("pelvis", "neck")  # of the body, the first that is there; else its first joint
_FEWEST = 3  # joints that are scored together
# Landmarks -> the joints that they may be, in the order in which they are looked for; all of them for the face.
_LANDMARKS = {
    "shoulders": (("left_shoulder",), ("right_shoulder",)),
    "wrists": (("left_wrist", "left_hand_root"), ("right_wrist", "right_hand_root")),
    "lips": (("upper_mouth",), ("lower_mouth",)),
}
_FACE = {"nose", "left_eye", "right_eye", "left_ear", "right_ear", *DWPOSE_FACE}

_BODY_COLOR = (0.25, 0.28, 0.33)
_PALM = "root"
# Warm colours for the left hand, cold ones for the right; neighbouring fingers differ in hue and in brightness.
_HAND_COLORS = {
    "left_hand": {
        _PALM: (0.87, 0.42, 0.10), "thumb": (0.72, 0.10, 0.14), "index": (0.97, 0.50, 0.08),
        "middle": (0.58, 0.28, 0.05), "ring": (0.96, 0.74, 0.10), "pinky": (0.86, 0.24, 0.12),
    },
    "right_hand": {
        _PALM: (0.10, 0.45, 0.72), "thumb": (0.36, 0.16, 0.66), "index": (0.08, 0.56, 0.95),
        "middle": (0.05, 0.20, 0.50), "ring": (0.08, 0.70, 0.74), "pinky": (0.28, 0.36, 0.86),
    },
}
_BODY_WIDTH, _HAND_WIDTH, _DOT_WIDTH = 1.0, 0.45, 0.2


class Skeleton:
    """Named joints, a `Posed`. A motion may hold others besides, in any order.

    Fingers are named left_index1 or left_hand_index1; they and left_hand_root, or left_wrist where there is none, are
    the left hand, whose root is the latter. All joints of other names are the body; its root is the pelvis, the neck,
    or the first of them. Joints of unknown names are scored, but have no bones. Fewer than three joints of the body or
    of a hand are not scored: after alignment nothing, or next to nothing, is left of their error.

    joints: J names
    unit:   of positions: `m` where they are metres
    up:     direction of the signer's head; with -y the signer's right hand is at +x, as in Prompt2Sign's files of 50
            joints, but at -x of the unit `image`

    Raises ValueError for a joint named twice, and when there is nothing to score.
    """

    face_vertices: Tensor | None = None
    face_region = ""
    head: None = None
    faces: Tensor | None = None
    colors: Tensor | None = None
    hand_vertices: Mapping[str, Tensor] = {}

    def __init__(self, joints: Sequence[str], unit: str = UNKNOWN_UNIT, up: Up = "+y"):
        self.joints, self.unit, self.up = tuple(joints), unit, up
        self._device = torch.device("cpu")
        self._parts = {name: own for name, own in _parts(self.joints).items() if len(own) >= _FEWEST}
        if not self._parts or len(set(self.joints)) < len(self.joints):
            raise ValueError(
                f"a skeleton needs {_FEWEST} joints of the body or of a hand at least, and joints of different names"
            )
        self.point_sets = {
            name: JointSet("body" if name == "body" else "hand", len(names), tuple(range(len(names))))
            for name, names in self._parts.items()
        }
        self.landmarks = _landmarks(self.joints)
        self.whole = JointSet(WHOLE, len(self.joints), tuple(range(len(self.joints))))
        self.bones = [
            (parent, joint) for joint in self.joints for parent in [next_towards_root(joint, self.joints)] if parent is not None
        ]

    @property
    def label(self) -> str:
        """`skeleton-50`; which joints they are is in the layout's hash."""
        return f"skeleton-{len(self.joints)}"

    @property
    def device(self) -> torch.device:
        return self._device

    def to(self, device: torch.device | str) -> Skeleton:
        """Moves the body (in place) and returns it."""
        self._device = torch.device(device)
        return self

    def track(self, motion: Motion | JointMotion, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """See `Posed`. Raises ValueError for a motion of rotations, and one without some of the joints."""
        sets = {**self._parts, WHOLE: self.joints}
        return {name: self._positions(motion, sets[name]) for name in (self._parts if names is None else names)}

    def surface(self, motion: Motion | JointMotion) -> None:
        """None: there are bones alone."""

    def rig(self, motion: Motion | JointMotion) -> None:
        """None: positions of joints have no skin."""

    def sticks(self, motion: Motion | JointMotion) -> Sticks:
        """The bones, to each joint from the next one towards the root, and a dot, a bone without a length, for each
        joint that has none; raises as `track`."""
        joined = {joint for bone in self.bones for joint in bone}
        bones = [*self.bones, *((joint, joint) for joint in self.joints if joint not in joined)]
        # Half a turn about z: a mere reflection of y would show the signer in a mirror, left-handed; but of a picture
        # the turn would.
        x, y = (1.0, 1.0) if self.up == "+y" else (1.0, -1.0) if self.unit == IMAGE else (-1.0, -1.0)
        upright = torch.tensor([x, y, 1.0], device=self.device)
        starts, ends = (self._positions(motion, joints) * upright for joints in zip(*bones))
        hands = [hand_of(joint) for _, joint in bones]
        colors = [_color(hand, joint) for hand, (_, joint) in zip(hands, bones)]
        widths = [_width(hand, *bone) for hand, bone in zip(hands, bones)]
        return Sticks(
            starts, ends, *(torch.tensor(v, device=self.device) for v in (colors, widths)), self._fingers(bones)
        )

    def _fingers(self, bones: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        """See `Sticks.hands`."""
        found: dict[str, list[int]] = {}
        for number, (_, joint) in enumerate(bones):
            hand = hand_of(joint)
            if hand in self._parts and joint != f"{hand}_root":
                found.setdefault(hand, []).append(number)
        return {hand: torch.tensor(numbers, device=self.device) for hand, numbers in found.items()}

    def _positions(self, motion: Motion | JointMotion, joints: Sequence[str]) -> Tensor:
        if not isinstance(motion, JointMotion):
            raise ValueError("a skeleton has joint positions, the motion holds rotations")
        absent = dict.fromkeys(joint for joint in joints if joint not in motion.joints)
        if absent:
            raise ValueError(f"the motion has no joint {', '.join(absent)}")
        return motion.positions[:, [motion.joints.index(joint) for joint in joints]].float().to(self.device)


def hand_of(joint: str) -> str | None:
    """`left_hand` of left_index1, left_hand_index1 and left_hand_root; None of all that is no hand's."""
    side, _, rest = joint.partition("_")
    rest = rest.removeprefix("hand_")
    return f"{side}_hand" if side in ("left", "right") and rest.startswith((*FINGERS, "root")) else None


def _parts(joints: Sequence[str]) -> dict[str, list[str]]:
    """Name of a point set -> its joints, the root first."""
    body = [joint for joint in joints if hand_of(joint) is None]
    parts = {}
    if body:
        root = next((root for root in _ROOTS if root in body), body[0])
        parts["body"] = [root, *(joint for joint in body if joint != root)]
    for hand, side in (("left_hand", "left"), ("right_hand", "right")):
        own = [joint for joint in joints if hand_of(joint) == hand]
        root = next((root for root in (f"{side}_hand_root", f"{side}_wrist") if root in joints), None)
        if own:
            parts[hand] = own if root is None else [root, *(joint for joint in own if joint != root)]
    return parts


def _landmarks(joints: Sequence[str]) -> Landmarks:
    """Those of which all joints are there."""
    found = {
        name: [next((joint for joint in of_one if joint in joints), None) for of_one in wanted]
        for name, wanted in _LANDMARKS.items()
    }
    found["face"] = [joint for joint in joints if joint in _FACE or joint.removeprefix("face").isdecimal()]
    return {
        name: (WHOLE, tuple(map(joints.index, named))) for name, named in found.items() if named and None not in named
    }


def _width(hand: str | None, start: str, end: str) -> float:
    """Of a bone: thin in hands and between eyes and ears, thinnest of a dot, of which a face has a hundred."""
    if start == end:
        return _DOT_WIDTH
    return _BODY_WIDTH if hand is None and not (end in _FACE and start in _FACE) else _HAND_WIDTH


def _color(hand: str | None, joint: str) -> tuple[float, ...]:
    if hand is None:
        return _BODY_COLOR
    return next((color for finger, color in _HAND_COLORS[hand].items() if finger in joint), _HAND_COLORS[hand][_PALM])
