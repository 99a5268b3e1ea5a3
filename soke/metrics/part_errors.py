"""How far each part of a layout is from its original, whatever has become of the others: in millimetres, per part."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soke.body.joints import JOINT_GROUPS
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.metrics.joint_sets import thousandth
from soke.metrics.motion_errors import JointError, evenly_spaced

_OF_THE_FACE = frozenset(JOINT_GROUPS["eyes"])  # the joints that move nothing else


class PartErrors(nn.Module):
    """The mean distance of the vertices that a part moves, while every other part moves as in the reference: the error
    of a part that was reconstructed independently of the others. Nothing is aligned, for all else stands still.

    A part of finger joints alone is scored on the vertices of its hand, one without joints, or with the eyes', on those
    of the face, and any other on the whole surface; where there is no surface, on the positions of its joints. Parts
    that share an autoencoder have one error, the mean of theirs. Scored on a few frames of a clip, evenly spaced, as
    `MotionErrors` scores vertices; a clip that lacks a part adds nothing to that part's.

    body:       body model, which is no part of this module's state
    layout:     of the parts
    statistics: hash for the signatures
    frames:     of a clip that are scored
    """

    def __init__(self, body: Posed, layout: MotionLayout, statistics: str | None = None, frames: int = 8):
        super().__init__()
        self.body, self.layout, self.frames = body, layout, frames
        points = "joints" if layout.of_positions else "mesh"
        conditions = {"unit": body.unit, "body": body.label, "layout": layout.hash, "statistics": statistics}
        self.errors = nn.ModuleDict({
            name: JointError("MPVPE", "none", part=name, joints=points, **conditions)
            for name in dict.fromkeys(layout.distinct.values())
        })

    @torch.no_grad()
    def update(self, name: str, reconstructed: Motion | JointMotion, reference: Motion | JointMotion) -> None:
        """Adds one clip, in float32; the motions have the same frames, and every joint that the layout covers. Raises
        ValueError that names the clip for no frames or NaN."""
        few = evenly_spaced(len(reference), self.frames).to(reference.device)
        rebuilt, original = reconstructed.frames(few), reference.frames(few)
        observed = self.layout.observed(original)
        pairs: dict[str, list[tuple[Tensor, Tensor]]] = {}
        with torch.autocast(reference.device.type, enabled=False):
            for part, points in self._points(rebuilt, original, observed).items():
                pairs.setdefault(self.layout.distinct[part], []).append(points)
        for part, of_part in pairs.items():
            self.errors[part].update(name, *of_part)

    def _points(
        self, rebuilt: Motion | JointMotion, original: Motion | JointMotion, observed: tuple[str, ...]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Part -> what is compared of it, [T, N, 3] of its reconstruction and of the reference; of observed parts."""
        layout, features = self.layout, self.layout.features(rebuilt)
        truth = {**features, **layout.features(original, observed)}
        if layout.of_positions:  # each part where the reference's other parts put it
            own = {part.name: [layout.joints.index(joint) for joint in part.joints] for part in layout.parts}
            placed = {p: layout.motion({**truth, p: features[p]}, original.fps).positions for p in observed}
            true = layout.motion(truth, original.fps).positions
            return {p: (placed[p][:, own[p]], true[:, own[p]]) for p in observed}

        if self.body.device != original.device:
            self.body.to(original.device)
        variants = [truth, *({**truth, part: features[part]} for part in observed)]  # posed together, which is faster
        stacked = {part: torch.cat([variant[part] for variant in variants]) for part in layout.names}
        motion = layout.motion(stacked, original.fps, original.betas, head_shape=original.head_shape)
        reference, *changed = self.body.surface(motion).chunk(len(variants))
        regions = {part.name: self._region(part) for part in layout.parts}
        return {p: (mesh[:, regions[p]], reference[:, regions[p]]) for p, mesh in zip(observed, changed, strict=True)}

    def _region(self, part: PartSpec) -> Tensor | slice:
        """Vertices that the part moves."""
        joints = set(part.joints)
        for side, vertices in self.body.hand_vertices.items():
            if joints and joints <= set(JOINT_GROUPS[f"{side}_hand"]):
                return vertices
        if joints <= _OF_THE_FACE and self.body.face_vertices is not None:
            return self.body.face_vertices
        return slice(None)

    def compute(self) -> dict[str, float]:
        """{distinct part: millimetres} over all clips (of all processes). Raises ValueError for a part without any."""
        unit, found = thousandth(self.body.unit), {}
        for name, error in self.errors.items():
            try:
                found[name] = float(error.compute()[name][unit])
            except ValueError:
                raise ValueError(f"there is no clip that lacks nothing of part {name}") from None
        return found

    def reset(self) -> None:
        for error in self.errors.values():
            error.reset()
