"""Teeth made from two rings of vertices round the mouth, as VHAP and GaussianAvatars make them."""
from __future__ import annotations

import numpy as np

TEETH = 120  # 8 rows of 15: upper and lower root, upper and lower edge, then those of the back
_ROW = 15
UPPER, LOWER = [0, 2, 4, 5], [1, 3, 6, 7]  # rows of each jaw
# Front root, edge, edge at the back, root at the back of each jaw: strips of triangles join neighbours.
_STRIPS = {"upper": (0, 2, 5, 4), "lower": (1, 3, 7, 6)}
# Of the mean distance of the rings: how far behind them the teeth are, half their overlap, how much the lower edge is
# further back, height and thickness.
_BACK, _OVERLAP, _OVERBITE, _HEIGHT, _THICKNESS = 1.5, 0.1, 0.4, 2.0, 1.0


def teeth_rows(rows: list[int]) -> np.ndarray:
    """Vertices of the teeth in the given rows."""
    return np.concatenate([np.arange(_ROW) + _ROW * row for row in rows])


def teeth_of(upper: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [120, 3] and triangles [168, 3], counter-clockwise from outside.

    upper, lower: [15, 3] vertices of the lips, corner to corner, metres, y up, facing +z
    """
    size = np.linalg.norm(upper - lower, axis=1).mean()
    arch = (upper + lower) / 2
    arch[:, 1] = arch[:, 1].mean()
    arch = arch + size * np.array([0.0, 0.0, -_BACK])

    def row(y: float, z: float) -> np.ndarray:
        return arch + size * np.array([0.0, y, z])

    vertices = np.concatenate([
        row(_HEIGHT, 0.0), row(-_HEIGHT, 0.0), row(-_OVERLAP, 0.0), row(_OVERLAP, -_OVERBITE),
        row(_HEIGHT, -_THICKNESS), row(-_OVERLAP, -_THICKNESS), row(-_HEIGHT, -_THICKNESS),
        row(_OVERLAP, -_THICKNESS - _OVERBITE),
    ])
    rightwards = upper[-1, 0] > upper[0, 0]
    faces = [
        _strip(first, second, rightwards == (jaw == "upper"))
        for jaw, rows in _STRIPS.items() for first, second in zip(rows, rows[1:])
    ]
    return vertices.astype(np.float32), np.concatenate(faces)


def _strip(first: int, second: int, flipped: bool) -> np.ndarray:
    """Triangles [28, 3] between two rows; not flipped, they look to where the first row lies left of the second, seen
    along the rows."""
    a, b = _ROW * first + np.arange(_ROW - 1), _ROW * second + np.arange(_ROW - 1)
    faces = np.concatenate([np.stack([a, a + 1, b], axis=1), np.stack([b, a + 1, b + 1], axis=1)])
    return faces[:, ::-1] if flipped else faces
