"""The pictures of figures that are shown together: of all of them from one place, and of their heads from another."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soke.render.backends import make_renderer
from soke.render.camera import camera_of, head_camera
from soke.render.figure import Figure
from soke.render.lettering import PAPER

FACE_ASPECT = 0.75  # width / height of a close-up: head and neck are taller than wide
GAP = 4  # pixels between two pictures
Size = tuple[int, int]  # width, height in pixels


class Pictures:
    """Draws figures one frame at a time, all of them with the same cameras. Close it when done.

    figures:   all have a close-up, or none
    size:      of a figure's picture
    face_size: of a close-up
    backend:   see `make_renderer`
    """

    def __init__(self, figures: Sequence[Figure], size: Size, face_size: Size, backend: str = "auto") -> None:
        close_ups = [figure.close_up for figure in figures if figure.close_up is not None]
        if close_ups and len(close_ups) < len(figures):
            raise ValueError("some figures have a close-up, others do not")
        camera = camera_of([f.vertices for f in figures], all(f.whole for f in figures), size[0] / size[1])
        self._figures, self._faces = make_renderer(size, camera, backend), None
        if close_ups:
            heads = [close_up.bust.vertices[:, close_up.head] for close_up in close_ups]
            self._faces = make_renderer(face_size, head_camera(heads, face_size[0] / face_size[1]), backend)

    def draw(self, figure: Figure, frame: int) -> list[np.ndarray]:
        """Pictures [H, W, 3] uint8: the figure's and, where it has one, its close-up's."""
        shown = [(self._figures, figure)]
        if figure.close_up is not None:
            shown.append((self._faces, figure.close_up.bust))
        return [renderer.draw(f.vertices[frame], f.faces, f.colors) for renderer, f in shown]

    def close(self) -> None:
        """Gives back windows and memory."""
        for renderer in (self._figures, self._faces):
            if renderer is not None:
                renderer.close()


def joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures [H, W, 3] above each other (axis 0) or side by side (1), a little paper between two of them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, PAPER, dtype=np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (gap, picture)][1:], axis=axis)
