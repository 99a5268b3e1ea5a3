"""Few colours for a figure: a mesh of a page has one, so a figure is as many meshes as it has colours."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

_OFTEN = 8  # vertices that have exactly a colour, where it is one and not on the way from one to another


@lru_cache(maxsize=8)
def painted(faces: bytes, colors: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Colours [N, 3] of 0..255, and which of them each triangle has [F].

    A vertex of another colour, where one fades into another, takes the nearer of its neighbours'; a triangle that of
    its corners' that is nearest to their mean.

    faces: of int32 [F, 3]; colors: of float32 [V, 3] in 0..1
    """
    triangles = np.frombuffer(faces, np.int32).reshape(-1, 3)
    values = (255 * np.frombuffer(colors, np.float32).reshape(-1, 3)).round()
    found, inverse, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    often = np.flatnonzero(counts >= min(_OFTEN, counts.max()))
    palette = found[often]
    number_of = np.full(len(found), -1)
    number_of[often] = np.arange(len(often))
    labels = _spread(number_of[inverse.reshape(-1)], palette, values, triangles)
    corners = labels[triangles]  # [F, 3]
    away = ((palette[corners] - values[triangles].mean(axis=1)[:, None]) ** 2).sum(-1)
    return palette, np.take_along_axis(corners, away.argmin(1)[:, None], 1)[:, 0]


def _spread(labels: np.ndarray, palette: np.ndarray, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Labels [V] without -1: from neighbour to neighbour, the nearest colour of those that arrive first."""
    edges = np.concatenate([triangles[:, [i, j]] for i in range(3) for j in range(3) if i != j])
    while True:
        open_edges = edges[(labels[edges[:, 0]] < 0) & (labels[edges[:, 1]] >= 0)]
        if not len(open_edges):
            break
        of, given = open_edges[:, 0], labels[open_edges[:, 1]]
        away = ((palette[given] - values[of]) ** 2).sum(-1)
        order = np.lexsort((away, of))
        vertices, first = np.unique(of[order], return_index=True)
        labels = labels.copy()
        labels[vertices] = given[order][first]
    alone = labels < 0  # of pieces that have none of the colours
    labels[alone] = ((values[alone][:, None] - palette) ** 2).sum(-1).argmin(1)
    return labels
