"""Figures whose frames are computed when they are first shown, and what there is to be seen of them."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.body.skeleton import Skeleton
from soke.body.skeletonise import BodySkeleton
from soke.body.skinned import SkinnedBody
from soke.errors import UserError
from soke.render.figure import extent_of, figures_of
from soke.viewer.cameras import Box, Seen

STYLES = ("mesh", "sticks")
_BLOCK = 16  # frames that are computed together
_LOOKED_AT = 12  # frames, evenly over a motion, from which it is told what there is to be seen
_HIPS = 0.53  # as a share of a surface's height, below which signing is not looked at
_HEAD = 0.2  # height of a stick figure's head, as a share of the figure's
_COMPUTING = threading.Lock()  # bodies are shared by all pages


class Moving:
    """A figure in motion.

    faces:  [F, 3] vertex numbers
    colors: [V, 3] in 0..1
    seen:   what there is to be seen of it
    """

    def __init__(self, label: str, motion: Motion | JointMotion, body: Posed):
        """Of a body with a surface. Raises UserError for a motion that it cannot take."""
        self.label, self.fps, self.count = label, float(motion.fps), len(motion)
        if not self.count:
            raise UserError(f"{label} has no frames")
        self._motion, self._body = motion, body
        self.faces, self.colors = body.faces.cpu().numpy(), body.colors.cpu().numpy()
        self._blocks: dict[int, np.ndarray] = {}
        looked_at = np.unique(np.linspace(0, self.count - 1, _LOOKED_AT).round().astype(int))
        self.seen = _seen_of_surface(self._surface(torch.from_numpy(looked_at)), body)

    def frame(self, number: int) -> np.ndarray:
        """[V, 3] metres, y up, facing +z."""
        block, place = divmod(number, _BLOCK)
        if block not in self._blocks:
            self._blocks[block] = self._surface(slice(block * _BLOCK, (block + 1) * _BLOCK))
        return self._blocks[block][place]

    def prepare(self) -> None:
        """Computes a block that has not been, if there is one."""
        missing = next((b for b in range(-(-self.count // _BLOCK)) if b not in self._blocks), None)
        if missing is not None:
            self.frame(missing * _BLOCK)

    @property
    def prepared(self) -> bool:
        return len(self._blocks) == -(-self.count // _BLOCK)

    @property
    def duration(self) -> float:
        return self.count / self.fps

    def _surface(self, frames: slice | torch.Tensor) -> np.ndarray:
        with _COMPUTING:
            surface = self._body.surface(self._motion.frames(frames))
        if not bool(torch.isfinite(surface).all()):
            raise UserError(f"{self.label} has frames that are not finite: NaN or infinite rotations")
        return surface.cpu().numpy().astype(np.float32)


class MovingSticks(Moving):
    """A figure of bones, all of whose frames are there."""

    def __init__(self, figure, hands: Box | None):
        """figure: a `Figure`; hands: where its hands are"""
        self.label, self.fps, self.count = figure.label, float(figure.fps), len(figure)
        self.faces, self.colors, self._vertices = figure.faces, figure.colors, figure.vertices
        body = Box.of(figure.vertices)
        head_size = _HEAD * body.size[1]
        middle = np.array([body.middle[0], body.high[1] - 0.5 * head_size, body.middle[2]])
        self.seen = Seen(body, Box(middle - 0.5 * head_size, middle + 0.5 * head_size), hands or body)

    def frame(self, number: int) -> np.ndarray:
        return self._vertices[number]

    @property
    def prepared(self) -> bool:
        return True


@dataclass(frozen=True)
class Posing:
    """A motion and the body that it poses."""

    motion: Motion | JointMotion
    body: Posed


def moving_of(posings: Mapping[str, Posing], style: str) -> tuple[dict[str, Moving], dict[str, str]]:
    """A figure for each label, all in one scale; and why there is none for the others.

    style: mesh or sticks; motions of positions are always sticks
    """
    found: dict[str, Moving] = {}
    faults: dict[str, str] = {}
    extents: dict[tuple[str, str], float] = {}  # label and unit of a body of bones -> of the first figure of it
    for label, posing in posings.items():
        try:
            if style == "mesh" and isinstance(posing.motion, Motion) and posing.body.faces is not None:
                found[label] = Moving(label, posing.motion, posing.body)
            else:
                found[label] = _sticks(label, posing, extents)
        except (UserError, ValueError, RuntimeError) as error:
            faults[label] = str(error)
    return found, faults


def stick_body(posing: Posing) -> Posed:
    """The body whose bones are shown of a motion."""
    body, motion = posing.body, posing.motion
    if isinstance(motion, JointMotion) and not isinstance(body, Skeleton):
        return Skeleton(motion.joints)
    return BodySkeleton(body) if isinstance(body, SkinnedBody) else body


def _sticks(label: str, posing: Posing, extents: dict[tuple[str, str], float]) -> MovingSticks:
    """extents: see `moving_of`"""
    body, motion = stick_body(posing), posing.motion
    with _COMPUTING:
        ends = body.sticks(motion)
        extent = extents.get((body.label, body.unit), extent_of(ends))
        (figure,) = figures_of(body, {label: motion}, extent=extent)
    extents[body.label, body.unit] = extent
    numbers = [bones.cpu().numpy() for bones in ends.hands.values()]
    if not numbers:
        return MovingSticks(figure, None)
    per_bone = figure.vertices.shape[1] // len(ends.widths)
    chosen = np.concatenate([(bones[:, None] * per_bone + np.arange(per_bone)).ravel() for bones in numbers])
    return MovingSticks(figure, Box.of(figure.vertices[:, chosen]))


def _seen_of_surface(vertices: np.ndarray, body: Posed) -> Seen:
    """vertices: [T, V, 3] of some frames"""
    floor, top = float(vertices[..., 1].min()), float(vertices[:, body.head.vertices.cpu().numpy(), 1].max())
    upper = vertices[vertices[..., 1] > floor + _HIPS * (top - floor)]
    hands = np.concatenate([ids.cpu().numpy() for ids in body.hand_vertices.values()])
    head = Box.of(vertices[:, body.head.vertices.cpu().numpy()])
    return Seen(Box.of(upper), head, Box.of(vertices[:, hands]))
