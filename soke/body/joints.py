"""Names of the SMPL-X joints; the order of this tuple is the order of `Motion.rotations`."""
from __future__ import annotations

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def _hand(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{finger}{knuckle}" for finger in _FINGERS for knuckle in (1, 2, 3))


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

_INDEX = {name: i for i, name in enumerate(SMPLX_JOINTS)}


def joint_indices(names: tuple[str, ...] | list[str]) -> list[int]:
    """Positions of `names` in `SMPLX_JOINTS`. Raises KeyError that lists the unknown names."""
    unknown = [name for name in names if name not in _INDEX]
    if unknown:
        raise KeyError(f"not SMPL-X joints: {', '.join(unknown)}")
    return [_INDEX[name] for name in names]


def mirrored_name(name: str) -> str:
    """The joint on the other side of the body: `left_wrist` for `right_wrist`, `neck` for `neck`."""
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    return name
