"""How far reconstructed motion is from its original: joint and vertex errors in millimetres, frame by frame."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, Posed
from soke.metrics.alignment import procrustes_align, root_align
from soke.metrics.clips import ClipMetric, Score
from soke.metrics.joint_sets import thousandth
from soke.metrics.signature import Signature

_ALIGN = {"root": root_align, "procrustes": procrustes_align, "none": lambda pred, ref: pred}
# name -> metric, alignment, part
_ERRORS = {
    f"{metric}_{part}".replace("-", "_"): (metric, align, part)
    for metric, align, parts in (
        ("MPJPE", "root", ("body", "hand")), ("PA-MPJPE", "procrustes", ("body", "hand")),
        ("MPVPE", "root", ("all", "hand", "face")), ("PA-MPVPE", "procrustes", ("all", "hand", "face")),
    ) for part in parts
}
_POINT_SETS = {"body": ("body",), "hand": ("left_hand", "right_hand")}


class JointError(ClipMetric):
    """Mean distance of points over all frames, in millimetres, prediction and reference paired frame by frame.

    MPJPE is JointError("MPJPE", "root"), PA-MPJPE JointError("PA-MPJPE", "procrustes"), and MPVPE and PA-MPVPE the
    same on vertices. `compute` gives {"mm": mean}; long clips weigh more than short ones.

    name:       metric, as it stands in tables
    align:      "root" moves point 0 onto point 0; "procrustes" fits a similarity with scale, in every frame; "none"
    part:       what the points are of, for the signature; so are the following
    scored:     the points whose error counts, among those that are aligned; None: all
    joints:     which points, for example "12of144" or "mesh"
    unit:       of the points; the score is in thousandths of it
    conditions: fps, body, layout and statistics of the signature
    """

    def __init__(
        self, name: str, align: str, *, part: str | None = None, scored: Sequence[int] | slice | None = None,
        joints: str | None = None, unit: str = METRES, **conditions: float | str | None,
    ) -> None:
        super().__init__([Signature(name, part, align, joints, units=(thousandth(unit),), **conditions)], 2)
        self._align = _ALIGN[align]
        self._scored = scored if isinstance(scored, slice) else slice(None) if scored is None else list(scored)

    def update(self, name: str, *pairs: tuple[Tensor, Tensor]) -> None:
        """Adds one clip.

        name:  the clip's
        pairs: prediction and reference, [T, V, 3] points in metres without padding; several where the clip has several
               point sets, both hands for instance

        Raises ValueError that names the clip for no frames, NaN, or shapes that differ.
        """
        added = [self._errors(name, *pair) for pair in pairs]
        self._add(name, np.array([sum(error.sum().item() for error in added), sum(map(len, added))]))

    def _errors(self, name: str, pred: Tensor, ref: Tensor) -> Tensor:
        """[T] metres."""
        if pred.ndim != 3 or pred.shape[-1] != 3 or pred.shape != ref.shape:
            raise ValueError(
                f"clip {name} cannot be scored: the prediction has shape {list(pred.shape)} and the reference "
                f"{list(ref.shape)}, both must be [T, V, 3]"
            )
        if pred.numel() == 0:
            raise ValueError(f"clip {name} cannot be scored: it has no frames")
        pred, ref = pred.detach().double(), ref.detach().double()
        if not (torch.isfinite(pred).all() and torch.isfinite(ref).all()):  # before the SVD, which may raise on NaN
            raise ValueError(f"clip {name} cannot be scored: it holds NaN or infinite positions")
        return (self._align(pred, ref) - ref)[:, self._scored].norm(dim=-1).mean(dim=-1)

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        return 1000 * sums[..., :1] / sums[..., 1:]


class MotionErrors(nn.Module):
    """MPJPE, PA-MPJPE, MPVPE and PA-MPVPE of pairs of motions with the same frames, in millimetres (thousandths of the
    body's unit); of vertices, where the body has a surface, and of the joints that it has.

    Joints are aligned as DTW-JPE aligns them and scored on the same points: 12 of 144 for `body`, the 21 of each hand
    for `hand` (mean of both hands). Vertices are those of the whole mesh (`all`), of each hand and of the face; without
    Procrustes they are moved with the pelvis, the wrist and the head joint.

    body:               body model, which is no part of this module's state
    layout, statistics: hashes for the signatures
    vertex_frames:      of a clip, evenly spaced, are all that vertices are scored on, because whole meshes are slow
    """

    def __init__(
        self, body: Posed, layout: str | None = None, statistics: str | None = None, vertex_frames: int = 8
    ):
        super().__init__()
        self.body, self.vertex_frames = body, vertex_frames
        self._sets = {  # both hands, or the one that there is
            part: [name for name in names if name in body.point_sets] for part, names in _POINT_SETS.items()
        }
        conditions = {"unit": body.unit, "body": body.label, "layout": layout, "statistics": statistics}
        self.errors = nn.ModuleDict({
            key: JointError(name, align, part=part, **self._points(name, part), **conditions)
            for key, (name, align, part) in _ERRORS.items()
            if (body.faces is not None if "MPVPE" in name else self._sets[part])
        })

    def _points(self, name: str, part: str) -> dict[str, object]:
        """Which points count, and what the signature says of them."""
        if "MPVPE" in name:  # before Procrustes there is a root point in front
            points = part == "face" and self.body.face_region or "mesh"
            return {"joints": points, "scored": slice(1, None) if name == "MPVPE" else None}
        joints = self.body.point_sets[self._sets[part][0]]
        return {"scored": joints.scored, "joints": joints.label}

    def update(
        self, name: str, reconstructed: Motion | JointMotion, reference: Motion | JointMotion
    ) -> None:
        """Adds one clip, in float32. Raises ValueError that names the clip for motions of no frames, NaN, or different
        lengths."""
        if len(reconstructed) != len(reference):
            raise ValueError(
                f"clip {name} cannot be scored: {len(reconstructed)} frames against {len(reference)} of the reference"
            )
        device = reference.device
        if self.body.device != device:
            self.body.to(device)
        with torch.autocast(device.type, enabled=False):
            self._add(name, reconstructed, reference)

    def _add(self, name: str, reconstructed: Motion | JointMotion, reference: Motion | JointMotion) -> None:
        tracks = [self.body.track(motion) for motion in (reconstructed, reference)]
        vertices = self._vertices(tracks, reconstructed, reference) if self.body.faces is not None else {}
        for key, error in self.errors.items():
            metric, _, part = _ERRORS[key]
            if metric == "MPVPE":
                pairs = vertices[part]
            elif metric == "PA-MPVPE":
                pairs = [[points[:, 1:] for points in pair] for pair in vertices[part]]
            else:
                pairs = [[track[points] for track in tracks] for points in self._sets[part]]
            error.update(name, *pairs)

    def _vertices(
        self, tracks: list[dict[str, Tensor]], reconstructed: Motion | JointMotion, reference: Motion | JointMotion,
    ) -> dict[str, list[list[Tensor]]]:
        """Part -> pairs of [T, 1 + V, 3] of a few frames, the root point in front."""
        few = evenly_spaced(len(reference), self.vertex_frames).to(reference.device)
        still = [motion.frames(few) for motion in (reconstructed, reference)]
        meshes = [self.body.surface(motion) for motion in still]
        roots = {name: [track[name][few][:, :1] for track in tracks] for name in tracks[0]}
        hands = {f"{side}_hand": vertices for side, vertices in self.body.hand_vertices.items()}
        return {
            "all": [_rooted(roots["body"], meshes)],
            "hand": [_rooted(roots[name], [m[:, v] for m in meshes]) for name, v in hands.items()],
            "face": [[self.body.track(motion, ["face"])["face"] for motion in still]],
        }

    def scores(self) -> list[Score]:
        """Of every error, over all processes. Raises ValueError when no clip was added."""
        return [score for error in self.errors.values() for score in error.scores()]

    def compute(self) -> dict[str, float]:
        """{name: millimetres} over all clips (of all processes). Raises ValueError when no clip was added."""
        unit = thousandth(self.body.unit)
        return {key: float(error.compute()[error.signatures[0].part][unit]) for key, error in self.errors.items()}

    def reset(self) -> None:
        for error in self.errors.values():
            error.reset()


def evenly_spaced(frames: int, at_most: int) -> Tensor:
    """Indices of the first, the last and evenly spaced frames between."""
    return torch.linspace(0, max(frames - 1, 0), min(frames, at_most)).round().long()


def _rooted(roots: list[Tensor], meshes: list[Tensor]) -> list[Tensor]:
    """Vertices [T, V, 3] with their root [T, 1, 3] in front, of the prediction and of the reference."""
    return [torch.cat(pair, dim=1) for pair in zip(roots, meshes)]
