"""Names of joints, and of groups of them. The order of `SMPLX_JOINTS` is the order of `Motion.rotations`."""
from __future__ import annotations

from collections.abc import Collection, Sequence

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

# The 128 points that DWPose sees, in Prompt2Sign's order: 18 of the body, the hands, and 68 of the face (iBUG's). Of
# the face, what has a counterpart is numbered alike on both sides: contour and brows from the outside, eyes and lips
# from their outer corner.
_LIMBS = tuple(f"{side}_{joint}" for side in ("right", "left") for joint in ("hip", "knee", "ankle"))
DWPOSE_BODY = (*SKELETON_BODY, *_LIMBS, "right_eye", "left_eye", "right_ear", "left_ear")


def _numbered(name: str, *numbers: int) -> list[str]:
    return [f"{name}{i}" for i in numbers]


DWPOSE_FACE = (
    *_numbered("right_contour", *range(1, 9)), "chin", *_numbered("left_contour", *range(8, 0, -1)),
    *_numbered("right_brow", 1, 2, 3, 4, 5), *_numbered("left_brow", 5, 4, 3, 2, 1),
    *_numbered("nose_bridge", 1, 2, 3, 4),
    *_numbered("right_nostril", 1, 2), "nose_base", *_numbered("left_nostril", 2, 1),
    *_numbered("right_eyelid", 1, 2, 3, 4, 5, 6), *_numbered("left_eyelid", 4, 3, 2, 1, 6, 5),
    *_numbered("right_lip", 1, 2, 3), "upper_lip", *_numbered("left_lip", 3, 2, 1, 4, 5), "lower_lip",
    *_numbered("right_lip", 5, 4),
    *_numbered("right_mouth", 1, 2), "upper_mouth", *_numbered("left_mouth", 2, 1, 3), "lower_mouth", "right_mouth3",
)
DWPOSE_128 = (*DWPOSE_BODY, *SKELETON_LEFT_HAND, *SKELETON_RIGHT_HAND, *DWPOSE_FACE)

# What a parts file may write in place of the joints.
JOINT_GROUPS: dict[str, tuple[str, ...]] = {
    "upper_body": UPPER_BODY,
    "left_hand": LEFT_HAND,
    "right_hand": RIGHT_HAND,
    "eyes": ("left_eye_smplhf", "right_eye_smplhf"),
    "skeleton_body": SKELETON_BODY,
    "skeleton_left_hand": SKELETON_LEFT_HAND,
    "skeleton_right_hand": SKELETON_RIGHT_HAND,
    "dwpose_body": DWPOSE_BODY,
    "dwpose_face": DWPOSE_FACE,
}

# Joint -> the next one towards the root. Where a skeleton lacks it, the next one after it that it has is taken.
_PARENTS = {
    "spine1": "pelvis", "spine2": "spine1", "spine3": "spine2", "neck": "spine3", "head": "neck", "jaw": "head",
    "nose": "head", "left_eye_smplhf": "head", "right_eye_smplhf": "head",
    "left_eye": "nose", "right_eye": "nose", "left_ear": "left_eye", "right_ear": "right_eye",
}
for _side in ("left", "right"):
    _CHAINS = [
        ("neck", "collar", "shoulder", "elbow", "wrist", "hand_root"), ("pelvis", "hip", "knee", "ankle", "foot"),
        *(("hand_root", *(f"hand_{finger}{i}" for i in (1, 2, 3, 4))) for finger in FINGERS),
        *(("hand_root", *(f"{finger}{i}" for i in (1, 2, 3))) for finger in FINGERS),
    ]
    for _chain in _CHAINS:
        _named = [joint if joint in ("neck", "pelvis") else f"{_side}_{joint}" for joint in _chain]
        _PARENTS |= dict(zip(_named[1:], _named))

_INDEX = {name: i for i, name in enumerate(SMPLX_JOINTS)}


def next_towards_root(joint: str, joints: Collection[str]) -> str | None:
    """The nearest of `joints` between a joint and the root; None where there is none, or the joint's name is unknown."""
    parent = _PARENTS.get(joint)
    while parent is not None and parent not in joints:
        parent = _PARENTS.get(parent)
    return parent


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
