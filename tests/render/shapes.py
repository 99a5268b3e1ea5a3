"""Small meshes for the renderers."""

from __future__ import annotations

import numpy as np


def make_ball(center: tuple[float, float, float], radii: tuple[float, float, float], rows: int = 8) -> tuple:
    """An ellipsoid: vertices [V, 3], faces [F, 3] counter-clockwise seen from outside."""
    theta = np.linspace(0.02, np.pi - 0.02, rows + 1)
    phi = np.linspace(0.0, 2.0 * np.pi, 2 * rows, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    unit = np.stack([np.sin(t) * np.cos(p), np.cos(t), -np.sin(t) * np.sin(p)], axis=-1).reshape(-1, 3)
    grid = np.arange(len(unit)).reshape(rows + 1, 2 * rows)
    a, b, c, d = grid[:-1], grid[1:], np.roll(grid, -1, 1)[1:], np.roll(grid, -1, 1)[:-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return (unit * radii + center).astype(np.float32), faces.astype(np.int32)
