"""How far reconstructed motion is from its original: joint and vertex errors in millimetres, frame by frame."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from soke.body.model import BodyModel
from soke.body.motion import Motion
from soke.metrics.joint_sets import JOINT_SETS
from soke.metrics.motion import JointError
from soke.metrics.signature import Signature

# name -> metric, alignment, part
_ERRORS = {
    "MPJPE_body": ("MPJPE", "root", "body"),
    "PA_MPJPE_body": ("PA-MPJPE", "procrustes", "body"),
    "MPJPE_hand": ("MPJPE", "root", "hand"),
    "PA_MPJPE_hand": ("PA-MPJPE", "procrustes", "hand"),
    "PA_MPVPE_all": ("PA-MPVPE", "procrustes", "all"),
    "PA_MPVPE_hand": ("PA-MPVPE", "procrustes", "hand"),
}


class MotionErrors(nn.Module):
    """MPJPE, PA-MPJPE and PA-MPVPE of pairs of motions with the same frames, in millimetres.

    Joints are aligned and scored on the same points: the pelvis and SOKE's 12 joints for `body`, the 21 joints of each
    hand for `hand` (mean of both hands). Vertices are those of the whole mesh (`all`) and of each hand.

    body:               body model, which is no part of this module's state
    layout, statistics: hashes for the signatures
    vertex_frames:      of a clip, evenly spaced, are all that vertices are scored on, because whole meshes are slow
    """

    def __init__(
        self, body: BodyModel, layout: str | None = None, statistics: str | None = None, vertex_frames: int = 8
    ):
        super().__init__()
        self.body, self.vertex_frames = body, vertex_frames
        self.errors = nn.ModuleDict(
            {
                key: JointError(
                    name, align, part=part, body=body.label, layout=layout, statistics=statistics, **_points(name, part)
                )
                for key, (name, align, part) in _ERRORS.items()
            }
        )

    @property
    def signatures(self) -> dict[str, Signature]:
        """Of each value that `compute` gives."""
        return {key: error.signature for key, error in self.errors.items()}

    def update(self, name: str, reconstructed: Motion, reference: Motion) -> None:
        """Adds one clip. Raises ValueError that names the clip for motions of no frames, NaN, or different lengths."""
        if len(reconstructed) != len(reference):
            raise ValueError(
                f"clip {name} cannot be scored: {len(reconstructed)} frames against {len(reference)} of the reference"
            )
        device = reference.rotations.device
        if self.body.template.device != device:
            self.body.to(device)
        pair = (reconstructed, reference)
        few = _evenly_spaced(len(reference), self.vertex_frames).to(device)
        meshes = [self.body.vertices(motion.frames(few)) for motion in pair]
        self._add(name, ("MPJPE_body", "PA_MPJPE_body"), [self.body.joints(m) for m in pair])
        self._add(name, ("PA_MPVPE_all",), meshes)
        for side, vertices in self.body.hand_vertices.items():
            self._add(name, ("MPJPE_hand", "PA_MPJPE_hand"), [self.body.hand_joints(m, side) for m in pair])
            self._add(name, ("PA_MPVPE_hand",), [mesh[:, vertices] for mesh in meshes])

    def compute(self) -> dict[str, float]:
        """{name: millimetres} over all clips (of all processes). Raises ValueError when no clip was added."""
        return {key: float(error.compute()["mm"]) for key, error in self.errors.items()}

    def reset(self) -> None:
        for error in self.errors.values():
            error.reset()

    def _add(self, name: str, keys: tuple[str, ...], points: list[Tensor]) -> None:
        for key in keys:
            self.errors[key].update(name, *points)


def _evenly_spaced(frames: int, at_most: int) -> Tensor:
    """Indices of the first, the last and evenly spaced frames between."""
    return torch.linspace(0, max(frames - 1, 0), min(frames, at_most)).round().long()


def _points(name: str, part: str) -> dict[str, object]:
    """Which points count, and what the signature says of them."""
    if "MPVPE" in name:
        return {"joints": "mesh"}
    joints = JOINT_SETS[part]
    return {"scored": joints.scored, "joints": joints.label}
