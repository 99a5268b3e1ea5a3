"""The joints that the field's scores are taken over: which are aligned, which are scored, and their positions."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, WHOLE, JointSet, Posed
from soke.body.skinned import BODY_JOINTS, HAND_JOINTS, SMPLX_POINT_SETS

__all__ = ["BODY_JOINTS", "HAND_JOINTS", "JointSet", "TRACK_JOINTS", "Track", "thousandth", "track_of", "weights_of"]

# Point set of SMPL-X -> its joints.
TRACK_JOINTS: Mapping[str, JointSet] = SMPLX_POINT_SETS

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Track:
    """What is scored of one clip of T frames.

    points: name of a point set -> [T, N, 3] its points in the body's unit, the root first; of SMPL-X body (144 joints),
            left_hand and right_hand (21 each), face (the head joint, then the vertices of the face), as far as known;
            of a skeleton also whole, all of its joints
    fps:    frames per second
    """

    points: Mapping[str, Array]
    fps: float

    def __len__(self) -> int:
        return len(next(iter(self.points.values()))) if self.points else 0


def track_of(body: Posed, motion: Motion | JointMotion, face: bool = True) -> Track:
    """The scored points of a motion, on the body's device."""
    faces, whole = face and body.face_vertices is not None, body.whole is not None
    names = [*body.point_sets, *["face"] * faces, *[WHOLE] * whole]
    return Track(body.track(motion, names), motion.fps)


def weights_of(joints: Mapping[str, JointSet]) -> dict[str, int]:
    """Weight of each part in the average: its scored joints, (12 body + 42 hand) / 54 for SMPL-X, as SOKE has it."""
    return {part: len(of_part.scored) for part, of_part in joints.items()}


def thousandth(unit: str) -> str:
    """Name of a thousandth of a unit: `mm` of `m`."""
    return "mm" if unit == METRES else f"milli{unit}"
