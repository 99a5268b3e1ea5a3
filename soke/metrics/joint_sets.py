"""The joints that the field's scores are taken over: which are aligned, which are scored, and their positions."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, JointSet, Posed
from soke.body.skinned import BODY_JOINTS, HAND_JOINTS, SMPLX_POINT_SETS

__all__ = ["BODY_JOINTS", "HAND_JOINTS", "JointSet", "TRACK_JOINTS", "Track", "thousandth", "track_of", "weights_of"]

# Part of a `Track` of SMPL-X -> its joints.
TRACK_JOINTS: Mapping[str, JointSet] = SMPLX_POINT_SETS

Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Track:
    """What is scored of one clip of T frames, in the body's unit; a part that is not there is None.

    body:       [T, J, 3], of SMPL-X smplx's 144 joints
    left_hand:  [T, 21, 3], wrist first
    right_hand: [T, 21, 3], wrist first
    face:       [T, 1 + F, 3] the head joint, then the vertices of the face
    fps:        frames per second
    """

    body: Array | None
    left_hand: Array | None
    right_hand: Array | None
    face: Array | None
    fps: float

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are there."""
        return tuple(f.name for f in fields(self) if f.name != "fps" and getattr(self, f.name) is not None)

    def __len__(self) -> int:
        return len(getattr(self, self.parts[0])) if self.parts else 0


def track_of(body: Posed, motion: Motion | JointMotion, face: bool = True) -> Track:
    """The scored points of a motion, on the body's device."""
    names = [*body.point_sets, *["face"] * (face and body.face_vertices is not None)]
    points = body.track(motion, names)
    return Track(*(points.get(part) for part in ("body", "left_hand", "right_hand", "face")), motion.fps)


def weights_of(joints: Mapping[str, JointSet]) -> dict[str, int]:
    """Weight of each part in the average: its scored joints, (12 body + 42 hand) / 54 for SMPL-X, as SOKE has it."""
    return {part: len(of_part.scored) for part, of_part in joints.items()}


def thousandth(unit: str) -> str:
    """Name of a thousandth of a unit: `mm` of `m`."""
    return "mm" if unit == METRES else f"milli{unit}"
