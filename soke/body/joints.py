"""Names of joints, and of groups of them. The order of `SMPLX_JOINTS` is the order of `Motion.rotations`."""
from __future__ import annotations

from collections.abc import Sequence

_SMPLX_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def _hand(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{finger}{knuckle}" for finger in _SMPLX_FINGERS for knuckle in (1, 2, 3))


LEFT_HAND = _hand("left")
RIGHT_HAND = _hand("right")

BODY = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)
SMPLX_JOINTS = (*BODY, "jaw", "left_eye_smplhf", "right_eye_smplhf", *LEFT_HAND, *RIGHT_HAND)
NUM_JOINTS = len(SMPLX_JOINTS)  # 55

# The joints that published systems generate: no root orientation, no legs, no spine.
UPPER_BODY = BODY[12:]

# The 50 points that Progressive Transformers and Prompt2Sign take of OpenPose's; a hand has a root of its own beside
# the arm's wrist.
FINGERS = ("thumb", "index", "middle", "ring", "pinky")  # in their order
_POINTS = [f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3, 4)]
SKELETON_BODY = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
)
SKELETON_LEFT_HAND, SKELETON_RIGHT_HAND = (
    tuple(f"{side}_hand_{point}" for point in ("root", *_POINTS)) for side in ("left", "right")
)
SKELETON_50 = (*SKELETON_BODY, *SKELETON_LEFT_HAND, *SKELETON_RIGHT_HAND)

# What a parts file may write in place of the joints.
JOINT_GROUPS: dict[str, tuple[str, ...]] = {
    "upper_body": UPPER_BODY,
    "left_hand": LEFT_HAND,
    "right_hand": RIGHT_HAND,
    "eyes": ("left_eye_smplhf", "right_eye_smplhf"),
    "skeleton_body": SKELETON_BODY,
    "skeleton_left_hand": SKELETON_LEFT_HAND,
    "skeleton_right_hand": SKELETON_RIGHT_HAND,
}

_INDEX = {name: i for i, name in enumerate(SMPLX_JOINTS)}


def joint_indices(names: tuple[str, ...] | list[str]) -> list[int]:
    """Positions of `names` in `SMPLX_JOINTS`. Raises KeyError that lists the unknown names."""
    unknown = [name for name in names if name not in _INDEX]
    if unknown:
        raise KeyError(f"not SMPL-X joints: {', '.join(unknown)}")
    return [_INDEX[name] for name in names]


def expanded(names: str | Sequence[str]) -> tuple[str, ...]:
    """Joint names for joint names and names of `JOINT_GROUPS`, in their order; one of them alone may come as text."""
    listed = [names] if isinstance(names, str) else names
    return tuple(joint for name in listed for joint in JOINT_GROUPS.get(name, (name,)))


def mirrored_name(name: str) -> str:
    """The joint on the other side of the body: `left_wrist` for `right_wrist`, `neck` for `neck`."""
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    return name
