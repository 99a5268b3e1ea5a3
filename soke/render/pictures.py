"""The pictures of figures that are shown together: of all of them from one place, and of their close-ups from
others."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soke.render.backends import make_renderer
from soke.render.camera import camera_of, close_up_camera
from soke.render.figure import Figure
from soke.render.lettering import PAPER

GAP = 4  # pixels between two pictures
Size = tuple[int, int]  # width, height in pixels


class Pictures:
    """Draws figures one frame at a time, all of them with the same cameras. Close it when done.

    figures:       all have as many close-ups
    size:          of a figure's picture
    close_up_size: of a close-up
    backend:       see `make_renderer`
    """

    def __init__(self, figures: Sequence[Figure], size: Size, close_up_size: Size, backend: str = "auto") -> None:
        if len({len(figure.close_ups) for figure in figures}) > 1:
            raise ValueError("some figures have a close-up, others do not")
        camera = camera_of([f.vertices for f in figures], all(f.whole for f in figures), size[0] / size[1])
        self._renderers, aspect = [make_renderer(size, camera, backend)], close_up_size[0] / close_up_size[1]
        for same in zip(*(figure.close_ups for figure in figures)):
            seen = [close_up.part.vertices[:, close_up.seen] for close_up in same]
            self._renderers.append(make_renderer(close_up_size, close_up_camera(seen, aspect), backend))

    def draw(self, figure: Figure, frame: int) -> list[np.ndarray]:
        """Pictures [H, W, 3] uint8: the figure's, then its close-ups'."""
        shown = [figure, *(close_up.part for close_up in figure.close_ups)]
        return [r.draw(f.vertices[frame], f.faces, f.colors) for r, f in zip(self._renderers, shown, strict=True)]

    def close(self) -> None:
        """Gives back windows and memory."""
        for renderer in self._renderers:
            renderer.close()


def joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures [H, W, 3] above each other (axis 0) or side by side (1), a little paper between two of them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, PAPER, dtype=np.uint8)
    return np.concatenate([piece for picture in pictures for piece in (gap, picture)][1:], axis=axis)


def close_up_size(figure: Figure, size: Size, axis: int) -> Size:
    """Of each close-up, which stand below their figure (axis 0) and are together as wide as it, or beside it (1) and as
    high; of a figure without, its own."""
    if not figure.close_ups:
        return size
    count, aspect = len(figure.close_ups), figure.close_ups[0].aspect
    side = (size[axis] - (count - 1) * GAP) // count
    return (side, round(side / aspect)) if axis == 0 else (round(aspect * side), side)


def arranged(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """A figure's picture with those of its close-ups below it (axis 0) or beside it (1)."""
    figure, *close_ups = pictures
    if not close_ups:
        return figure
    across = 1 - axis
    row = joined(close_ups, across)
    margin = [(0, 0)] * 3
    margin[across] = (0, figure.shape[across] - row.shape[across])  # what could not be divided
    return joined([figure, np.pad(row, margin, constant_values=PAPER[0])], axis)
