"""What is drawn: a moving mesh with a name."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from soke.body.head import Head
from soke.body.motion import JointMotion, Motion
from soke.body.posed import METRES, Posed, Sticks
from soke.render.sticks import stick_colors, stick_mesh, vertices_of

FACE_ASPECT = 0.75  # width / height of a close-up: head and neck are taller than wide
HAND_ASPECT = 1.0
_STICK_HEIGHT = 1.0  # metres that a stick figure of no known unit is drawn high (or wide)
_STICK_RADIUS = 0.014  # of a bone of width 1, as a share of the figure's height


@dataclass
class Figure:
    """A clip of one mesh, ready to be drawn.

    Raises ValueError when shapes do not fit, and when a vertex is NaN or infinite (the first such frame is named).
    """

    vertices: np.ndarray  # [T, V, 3] float32, metres, y up, facing +z
    faces: np.ndarray  # [F, 3] integer vertex indices, counter-clockwise seen from outside
    colors: np.ndarray  # [V, 3] float32 in 0..1
    label: str  # shown above the figure: "reference", "generated"
    fps: float  # frames per second
    whole: bool = False  # all of it is shown; else from the hips upwards
    close_ups: tuple[CloseUp, ...] = ()  # of its head, or of its hands

    def __post_init__(self) -> None:
        self.vertices = np.ascontiguousarray(self.vertices, dtype=np.float32)
        self.faces = np.ascontiguousarray(self.faces, dtype=np.int32)
        self.colors = np.ascontiguousarray(self.colors, dtype=np.float32)
        name = f"figure '{self.label}'"
        if self.vertices.ndim != 3 or self.vertices.shape[2] != 3 or 0 in self.vertices.shape:
            raise ValueError(f"{name}: vertices must be [T, V, 3] with T, V > 0, not {list(self.vertices.shape)}")
        count = self.vertices.shape[1]
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or len(self.faces) == 0:
            raise ValueError(f"{name}: faces must be [F, 3] with F > 0, not {list(self.faces.shape)}")
        if self.faces.min() < 0 or self.faces.max() >= count:
            raise ValueError(f"{name}: faces name a vertex outside 0..{count - 1}")
        if self.colors.shape != (count, 3):
            raise ValueError(f"{name}: colors must be [{count}, 3], not {list(self.colors.shape)}")
        if not self.fps > 0:
            raise ValueError(f"{name}: fps must be positive, not {self.fps}")
        finite = np.isfinite(self.vertices).all(axis=(1, 2))  # [T]
        if not finite.all():
            raise ValueError(f"{name}: NaN or infinite vertices in frame {int(finite.argmin())}")

    def __len__(self) -> int:
        return len(self.vertices)


@dataclass
class CloseUp:
    """A part of a figure that stays in one place: it turns, but does not wander.

    part:   of a surface head and shoulders, without forearms and hands, the head joint at the origin; of bones a hand's
            fingers, the mean of their ends there
    seen:   [N] vertices of the part that a picture has to show
    aspect: width / height of the picture
    """

    part: Figure
    seen: np.ndarray
    aspect: float

    @classmethod
    def of_head(cls, figure: Figure, head: Head) -> CloseUp:
        """Of a posed surface, which is not posed again."""
        place = np.einsum("v,tvc->tc", head.joint.cpu().numpy(), figure.vertices)  # [T, 3]
        chosen, seen = (vertices.cpu().numpy() for vertices in (head.bust, head.vertices))
        part, position = _cut_out(figure, chosen, place)
        return cls(part, position[seen], FACE_ASPECT)

    @classmethod
    def of_hand(cls, figure: Figure, bones: np.ndarray, ends: np.ndarray) -> CloseUp:
        """bones: [N] numbers of its fingers' bones; ends: [T, N, 3] where they end"""
        part, _ = _cut_out(figure, vertices_of(bones), ends.mean(axis=1))
        return cls(part, np.arange(part.vertices.shape[1]), HAND_ASPECT)


def _cut_out(figure: Figure, chosen: np.ndarray, place: np.ndarray) -> tuple[Figure, np.ndarray]:
    """The faces that join the chosen vertices [N] alone, with `place` [T, 3] at the origin; and which of its vertices
    each of the figure's has become."""
    position = np.full(figure.vertices.shape[1], -1)
    position[chosen] = np.arange(len(chosen))
    faces = position[figure.faces]
    part = Figure(
        figure.vertices[:, chosen] - place[:, None], faces[(faces >= 0).all(axis=1)], figure.colors[chosen],
        figure.label, figure.fps,
    )
    return part, position


def figures_of(
    body: Posed, motions: Mapping[str, Motion | JointMotion], close_ups: bool = False, extent: float | None = None
) -> list[Figure]:
    """A figure for each label: the body's surface or, where it has none, its bones, with close-ups of its hands.

    Stick figures are as large as the first one's extent makes them, so that all of them can be compared.
    close_ups: whether surfaces get close-ups of their heads
    extent:    in place of the first one's, `extent_of` another
    """
    figures, sticks = [], scaled_sticks(body, motions, extent)
    for label, motion in motions.items():
        if label in sticks:
            figures.append(_stick_figure(label, motion.fps, *sticks[label]))
            continue
        surface, faces, colors = body.surface(motion), body.faces.cpu().numpy(), body.colors.cpu().numpy()
        figures.append(Figure(surface.cpu().numpy(), faces, colors, label, motion.fps))
        if close_ups:
            figures[-1].close_ups = (CloseUp.of_head(figures[-1], body.head),)
    return figures


def scaled_sticks(
    body: Posed, motions: Mapping[str, Motion | JointMotion], extent: float | None = None
) -> dict[str, tuple[Sticks, np.ndarray]]:
    """Label -> the bones in metres, and their radii [B], of a body that has no surface; of another nothing. extent: as of
    `figures_of`"""
    found, scale = {}, None
    for label, motion in motions.items():
        sticks = body.sticks(motion)
        if sticks is None:
            continue
        if scale is None:
            extent = extent_of(sticks) if extent is None else extent
            scale, height = (1.0, extent) if body.unit == METRES else (_STICK_HEIGHT / extent, _STICK_HEIGHT)
        sticks = replace(sticks, starts=(scale * sticks.starts).cpu(), ends=(scale * sticks.ends).cpu())
        found[label] = sticks, _STICK_RADIUS * height * sticks.widths.cpu().numpy()
    return found


def _stick_figure(label: str, fps: float, sticks: Sticks, radii: np.ndarray) -> Figure:
    """With close-ups of its hands, the right one first, as it stands in the picture."""
    ends = sticks.ends.numpy()
    vertices, faces = stick_mesh(sticks.starts.numpy(), ends, radii)
    figure = Figure(vertices, faces, stick_colors(sticks.colors.cpu().numpy()), label, fps, True)
    figure.close_ups = tuple(
        CloseUp.of_hand(figure, bones, ends[:, bones])
        for bones in (sticks.hands[hand].cpu().numpy() for hand in sorted(sticks.hands, reverse=True))
    )
    return figure


def extent_of(sticks: Sticks) -> float:
    """Their height or width, whichever is greater, in the middle frame by size; 1 where there is none."""
    points = torch.cat([sticks.starts, sticks.ends], dim=1).cpu().numpy()
    found = (points.max(axis=1) - points.min(axis=1))[:, :2].max(axis=1)
    middle = float(np.median(found)) if len(found) else 0.0
    return middle if np.isfinite(middle) and middle > 0 else 1.0
