"""Figures in a page's three dimensions."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soke.viewer.cameras import CAMERAS, OWN, Box, Seen, above, places
from soke.viewer.moving import Moving
from soke.viewer.paint import painted
from soke.viewer.playback import frame_at

_GAP = 0.12  # metres between two figures' boxes, and room for their names
_COVERED = 270  # pixels of the picture's lower edge that the panel there hides,
_NARROW, _SHEET = 600, 0.6  # and of a picture of fewer pixels' width the share that is below the sheet of all panels
_AMBIENT = 1.1
_LIGHTS = (((1.0, 2.0, 3.0), 2.0), ((-2.0, 0.5, 2.0), 0.9), ((0.0, 1.0, -3.0), 0.5))  # metres; key, fill, from behind
_BACKGROUND = (244, 244, 242)


@dataclass
class _Part:
    """The triangles of one colour: their vertices' numbers in the figure, and the page's mesh."""

    vertices: np.ndarray
    mesh: object


class Scene:
    """What a page shows of figures: side by side, all at the same second.

    client: viser's, of the page
    """

    def __init__(self, client) -> None:
        self._client, self._handles = client, []
        self.figures: list[Moving] = []
        self._parts: list[list[_Part]] = []
        self._frames: list[int] = []
        self._offsets = np.zeros((0, 3))
        picture = np.full((2, 2, 3), _BACKGROUND, np.uint8)
        client.scene.set_background_image(picture)
        scene = client.scene
        scene.configure_environment_map(None)  # takes as long as all else where a processor draws
        scene.configure_default_lights(False)
        scene.add_light_ambient("/lights/around", intensity=_AMBIENT)
        for number, (position, intensity) in enumerate(_LIGHTS):
            scene.add_light_directional(f"/lights/{number}", position=position, intensity=intensity, cast_shadow=False)

    def show(self, figures: Sequence[Moving], second: float) -> None:
        """These figures in the place of the others."""
        with self._client.atomic():
            for handle in self._handles:
                handle.remove()
            self._handles, self._parts = [], []
            self.figures = list(figures)
            self._frames = [frame_at(second, figure.fps, figure.count) for figure in figures]
            if figures:
                self._offsets = places([figure.seen.body.size + _GAP for figure in figures], self._aspect / (1 - self._covered))
            for number, (figure, frame, offset) in enumerate(zip(figures, self._frames, self._offsets)):
                self._parts.append(self._drawn(number, figure, frame, offset, bool((self._offsets[:, 1] != 0).any())))

    def _drawn(self, number: int, figure: Moving, frame: int, offset: np.ndarray, rows: bool) -> list[_Part]:
        scene, name = self._client.scene, f"/figures/{number}"
        # all stand on their offset by the middle of what is seen, so that figures of other sizes stand beside each other
        middle = figure.seen.body.middle * [1.0, 1.0, 0.0]
        self._handles.append(scene.add_frame(name, show_axes=False, position=offset - middle))
        top = figure.seen.body.middle + [0.0, 0.5 * figure.seen.body.size[1] + 0.4 * _GAP, 0.0]
        scene.add_label(f"{name}/label", figure.label, position=top, anchor="bottom-center", font_size_mode="screen")
        vertices, parts = figure.frame(frame), []
        low = figure.seen.body.low[1] if rows else -np.inf  # of several rows, none hides the one below
        for i, (ids, faces, color) in enumerate(_by_color(figure, vertices, low)):
            mesh = scene.add_mesh_simple(
                f"{name}/{i}", vertices[ids], faces, color=color, cast_shadow=False, receive_shadow=False
            )
            parts.append(_Part(ids, mesh))
        return parts

    def at(self, second: float) -> None:
        """Every figure's frame at a second; what has not changed is not sent again."""
        moved = []
        for number, figure in enumerate(self.figures):
            frame = frame_at(second, figure.fps, figure.count)
            if frame != self._frames[number]:
                self._frames[number] = frame
                moved.append((self._parts[number], figure.frame(frame)))
        with self._client.atomic():
            for parts, vertices in moved:
                for part in parts:
                    part.mesh.vertices = vertices[part.vertices]

    def look(self, camera: str, focus: int) -> None:
        """From one of `CAMERAS`; focus: number of the figure that close ones look at"""
        if not self.figures:
            return
        middles = [figure.seen.body.middle * [1.0, 1.0, 0.0] for figure in self.figures]
        seen = [f.seen.moved(offset - middle) for f, offset, middle in zip(self.figures, self._offsets, middles)]
        seen = [Seen(_with_label(each.body), each.head, each.hands) for each in seen]
        own = camera == OWN
        aspect = self._aspect if own else self._aspect / (1 - self._covered)
        chosen = CAMERAS[camera](seen, min(focus, len(seen) - 1), aspect)
        chosen = chosen if own else above(chosen, self._covered)
        view = self._client.camera
        with self._client.atomic():
            view.up_direction = (0.0, 1.0, 0.0)
            view.fov, view.near = chosen.fov, 0.01
            view.position, view.look_at = chosen.position, chosen.look_at

    @property
    def _aspect(self) -> float:
        return float(self._client.camera.aspect)

    @property
    def _covered(self) -> float:
        """Share of the picture that panels hide, from below."""
        camera = self._client.camera
        return _SHEET if camera.image_width < _NARROW else min(_COVERED / camera.image_height, _SHEET)


def _with_label(box: Box) -> Box:
    return Box(box.low, box.high + [0.0, _GAP, 0.0])


def _by_color(
    figure: Moving, vertices: np.ndarray, low: float
) -> list[tuple[np.ndarray, np.ndarray, tuple[int, int, int]]]:
    """The figure's triangles that are not below `low`, by colour: numbers of their vertices, triangles of these, RGB."""
    palette, labels = painted(figure.faces.astype(np.int32).tobytes(), figure.colors.astype(np.float32).tobytes())
    shown = (vertices[figure.faces, 1] >= low).all(axis=1)
    parts = []
    for number, color in enumerate(palette):
        own = figure.faces[shown & (labels == number)]
        if len(own):
            ids, places_of = np.unique(own, return_inverse=True)
            parts.append((ids, places_of.reshape(own.shape), tuple(int(value) for value in color)))
    return parts
