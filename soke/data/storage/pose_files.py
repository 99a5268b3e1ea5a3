"""`.pose` files of the package pose-format, in which much of the field keeps poses: written and read.

Written are OpenPose's components, as its tools know them: `pose_keypoints_2d` (25 points of the body, of which those
that the motion lacks have confidence 0), `hand_left_keypoints_2d` and `hand_right_keypoints_2d` (21 points each), with
a depth; after them, of motions that have them, SMPL-X's 55 joints by their names, `SMPLX`. Read are all of these, and
MediaPipe Holistic's `POSE_LANDMARKS`, `LEFT_HAND_LANDMARKS` and `RIGHT_HAND_LANDMARKS`.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from soke.body.joints import SKELETON_50, SKELETON_LEFT_HAND, SKELETON_RIGHT_HAND, SMPLX_JOINTS
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.data.storage.gaps import filled
from soke.errors import UserError
from soke.storage import new_file

SUFFIX = ".pose"
_SIDE, _SHOULDERS = 1024, 256.0  # pixels of the picture that is written, and of the shoulders in it
_AXES = np.array([-1.0, 1.0, -1.0], dtype=np.float32)  # pictures have the signer's right at small x, depth grows away
_ARM = ("Shoulder", "Elbow", "Wrist")
_OPENPOSE_BODY = {"Nose": "nose", "Neck": "neck"} | {
    f"{letter}{joint}": f"{side}_{name}" for letter, side in (("R", "right"), ("L", "left")) for joint, name in (
        *((joint, joint.lower()) for joint in (*_ARM, "Hip", "Knee", "Ankle", "Eye", "Ear", "Heel")),
        ("BigToe", "big_toe"), ("SmallToe", "small_toe"),
    )
} | {"MidHip": "pelvis"}
_FINGERS = {"THUMB": ("CMC", "MCP", "IP", "TIP")} | {
    f"{finger}_FINGER": ("MCP", "PIP", "DIP", "TIP") for finger in ("INDEX", "MIDDLE", "RING")
} | {"PINKY": ("MCP", "PIP", "DIP", "TIP")}
_MEDIAPIPE_BODY = {"NOSE": "nose"} | {
    f"{side}_{joint}".upper(): f"{side}_{joint.lower()}" for side in ("left", "right") for joint in _ARM
}
_MEDIAPIPE_HAND = ["WRIST", *(f"{finger}_{joint}" for finger, joints in _FINGERS.items() for joint in joints)]
_SMPLX, _GREY = "SMPLX", (96, 100, 110)
# Component -> {name of a point: our name}; None: our names in the order of its 21 points.
_COMPONENTS: dict[str, dict[str, str] | tuple[str, ...]] = {
    "pose_keypoints_2d": _OPENPOSE_BODY,
    "hand_left_keypoints_2d": SKELETON_LEFT_HAND,
    "hand_right_keypoints_2d": SKELETON_RIGHT_HAND,
    "POSE_LANDMARKS": _MEDIAPIPE_BODY,
    "LEFT_HAND_LANDMARKS": dict(zip(_MEDIAPIPE_HAND, SKELETON_LEFT_HAND)),
    "RIGHT_HAND_LANDMARKS": dict(zip(_MEDIAPIPE_HAND, SKELETON_RIGHT_HAND)),
    _SMPLX: {joint: joint for joint in SMPLX_JOINTS},
}
_WRITTEN = tuple(_COMPONENTS)[:3]


def write_pose(path: Path, motion: JointMotion) -> None:
    """The joints that a motion has of OpenPose's and, where it has any but those, SMPL-X's, of shoulders about 1 apart,
    x to the signer's right, y down and z forward as `soke.body.skeletonise` gives them, as a signer whose neck is in the
    middle of a picture of 1024 pixels.

    Raises UserError where pose-format is not installed; ValueError for a motion without any of these joints.
    """
    if not set(SKELETON_50) & set(motion.joints):
        raise ValueError("the motion has none of the 50 joints of SKELETON_50")
    package = require_package(f"writing {path}")
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
    from pose_format.utils.openpose import OpenPose_Components

    of_openpose = {component.name: component for component in OpenPose_Components}
    components = [
        PoseHeaderComponent(name, c.points, c.limbs, c.colors, "XYZC")
        for name, c in ((name, of_openpose[name]) for name in _WRITTEN)
    ]
    if set(SMPLX_JOINTS).difference(SKELETON_50) & set(motion.joints):
        bones = [tuple(map(SMPLX_JOINTS.index, bone)) for bone in Skeleton(SMPLX_JOINTS).bones]
        components.append(PoseHeaderComponent(_SMPLX, list(SMPLX_JOINTS), bones, [_GREY] * len(SMPLX_JOINTS), "XYZC"))
    names = [joint for component in components for joint in _names(component)]
    data = np.zeros((len(motion), 1, len(names), 3), dtype=np.float32)
    confidence = np.zeros(data.shape[:3], dtype=np.float32)
    centre = np.array([_SIDE / 2, _SIDE / 2, 0], dtype=np.float32)
    for column, joint in enumerate(names):
        if joint in motion.joints:
            positions = motion.positions[:, motion.joints.index(joint)].cpu().numpy()
            data[:, 0, column] = positions * _AXES * _SHOULDERS + centre
            confidence[:, 0, column] = 1
    header = PoseHeader(0.2, PoseHeaderDimensions(_SIDE, _SIDE, _SIDE), components)
    with new_file(path) as temporary, open(temporary, "wb") as file:
        package.Pose(header, NumPyPoseBody(motion.fps, data, confidence)).write(file)


class PoseFile(NamedTuple):
    """motion: of the first person; deep: whether the file has a depth; people: how many it shows"""

    motion: JointMotion
    deep: bool
    people: int


def read_pose(path: Path) -> PoseFile:
    """What is in a file; without a depth z is 0, and one that is 0 everywhere is none.

    Its first person's joints that `SKELETON_50` has, in the space of `write_pose`, where the shoulders are 1 apart on
    average over the clip and the neck, or the middle between the shoulders, is the origin. Points of confidence 0 are
    filled, see `soke.data.storage.gaps`; of the joints that the file has, those that were seen in fewer than half of the frames
    are lacking.

    Raises UserError that names the file: pose-format is not installed, it cannot be read, has no component that is
    known, no frames, no frame rate, or no shoulders.
    """
    pose = _read(path)
    joints = [joint for joint in SKELETON_50 if joint in pose.columns]
    points, seen = pose.of(joints)
    depth = points.shape[2] > 2
    known, kept = filled(points, seen)
    names = tuple(joints[i] for i in kept)
    positions = np.zeros((*known.shape[:2], 3), dtype=np.float32)
    positions[..., : known.shape[2]] = known
    positions *= _AXES
    if not {"left_shoulder", "right_shoulder"} <= set(names):
        raise UserError(f"{path} shows a shoulder in fewer than half of its frames; poses are measured by them")
    motion = JointMotion(torch.from_numpy(positions), names, pose.fps, lacking=frozenset(joints).difference(names))
    try:
        return PoseFile(measured_by_shoulders(motion), depth, pose.people)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


@dataclass(frozen=True)
class PoseHands:
    """The keypoints of the hands in a file, in its own space, as they were seen.

    points:    [T, K, D] positions, anything where a point was not seen
    seen:      [T, K]
    names:     K of `SKELETON_50`
    shoulders: [T', 2, D] both shoulders in the frames in which both were seen
    fps:       frames per second
    """

    points: np.ndarray
    seen: np.ndarray
    names: tuple[str, ...]
    shoulders: np.ndarray
    fps: float


def read_hands(path: Path) -> PoseHands:
    """The hands of a file's first person. Raises UserError as `read_pose` does, and where there are no hands."""
    pose = _read(path)
    hands = [joint for joint in (*SKELETON_LEFT_HAND, *SKELETON_RIGHT_HAND) if joint in pose.columns]
    if not hands:
        raise UserError(f"{path} has no hands among its components")
    points, seen = pose.of(hands)
    shoulders = np.zeros((0, 2, points.shape[2]))
    if {"left_shoulder", "right_shoulder"} <= set(pose.columns):
        both, known = pose.of(["left_shoulder", "right_shoulder"])
        shoulders = both[known.all(axis=1)]
    return PoseHands(points, seen, tuple(hands), shoulders, pose.fps)


def flattened(motion: JointMotion) -> JointMotion:
    """What a picture shows of a motion: no depth, and the shoulders that are seen 1 apart."""
    return measured_by_shoulders(replace(motion, positions=motion.positions * torch.tensor([1.0, 1.0, 0.0])))


def measured_by_shoulders(motion: JointMotion) -> JointMotion:
    """The neck, or the middle between the shoulders, at the origin, and the shoulders 1 apart on average over the clip.
    Raises ValueError for shoulders in one place."""
    left, right = (motion.positions[:, motion.joints.index(f"{side}_shoulder")] for side in ("left", "right"))
    width = (left - right).norm(dim=1).mean()
    if not width > 0:
        raise ValueError("both shoulders are at one place, and poses are measured by their distance")
    origin = motion.positions[:, motion.joints.index("neck")] if "neck" in motion.joints else (left + right) / 2
    return replace(motion, positions=(motion.positions - origin[:, None]) / width)


@dataclass(frozen=True)
class _Read:
    """What is in a file: values [T, K, D] and confidence [T, K] of its first person, and the column of each joint; of how many
    people."""

    values: np.ndarray
    confidence: np.ndarray
    columns: dict[str, int]
    fps: float
    people: int

    def of(self, joints: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """[T, N, D] positions and [T, N] whether they were seen."""
        rows = [self.columns[joint] for joint in joints]
        points = self.values[:, rows]
        return points, (self.confidence[:, rows] > 0) & np.isfinite(points).all(axis=2)


def _read(path: Path) -> _Read:
    """Raises UserError as `read_pose` does, but for shoulders."""
    package = require_package(f"reading {path}")
    try:
        pose = package.Pose.read(Path(path).read_bytes())
        values = np.asarray(pose.body.data.filled(0), dtype=np.float32)  # [T, people, points, D]
        confidence = np.asarray(pose.body.confidence, dtype=np.float32)
        components, fps = pose.header.components, float(pose.body.fps)
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is no .pose file ({type(error).__name__}: {error}); write it again") from error
    names = [joint for component in components for joint in _names(component)]
    columns = {joint: column for column, joint in reversed(list(enumerate(names))) if joint is not None}
    if not columns:
        found = ", ".join(component.name for component in components)
        raise UserError(f"{path} has the components {found}; known are {', '.join(_COMPONENTS)}")
    if not len(values) or not values.shape[1] or not fps > 0:
        raise UserError(f"{path} holds {len(values)} frames of {values.shape[1]} people at {fps:g} frames/s")
    depth = values.shape[3] > 2 and _has_depth(components) and values[:, 0, list(columns.values()), 2].any()
    return _Read(values[:, 0, :, : 3 if depth else 2], confidence[:, 0], columns, fps, values.shape[1])


def _has_depth(components: list[Any]) -> bool:
    return all("Z" in component.format for component in components if component.name in _COMPONENTS)


def _names(component: Any) -> list[str | None]:
    """Our name of each of a component's points; None of those that the 50 joints do not have."""
    known = _COMPONENTS.get(component.name, {})
    if isinstance(known, tuple):
        return [*known] if len(component.points) == len(known) else [None] * len(component.points)
    return [known.get(point) for point in component.points]


def require_package(what: str) -> Any:
    """pose-format. Raises UserError, with what needs it, where it is not installed."""
    try:
        import pose_format
    except ImportError as error:
        raise UserError(f"{what} needs the package pose-format: pip install pose-format") from error
    return pose_format
