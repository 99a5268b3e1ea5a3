"""Bones as a mesh, so that both renderers draw stick figures too: a rounded, tapering stick for every bone."""
from __future__ import annotations

import numpy as np

_SIDES = 8
_PER_STICK = 2 * _SIDES + 2  # vertices
_TAPER = 0.7  # thickness at the far end, of that at the near one


def stick_mesh(starts: np.ndarray, ends: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sticks from starts to ends [T, B, 3] of radii [B] -> vertices [T, B * 18, 3], faces [F, 3]; stick after stick.

    Each has two rings of 8 vertices, and a tip beyond either. A bone without a length is a small double cone.
    """
    along = ends - starts
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    along = np.where(length > 1e-9, along / np.maximum(length, 1e-9), [0.0, 1.0, 0.0])  # [T, B, 3]
    # any direction that is not along the bone: the axis that it has least of
    helper = np.eye(3)[np.abs(along).argmin(axis=-1)]
    across = np.cross(along, helper)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    other = np.cross(along, across)
    angles = np.arange(_SIDES) * 2 * np.pi / _SIDES
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    ring = cos * across[..., None, :] + sin * other[..., None, :]  # [T, B, 8, 3]
    near, far = radii[:, None], _TAPER * radii[:, None]  # [B, 1]
    vertices = np.concatenate(
        [
            starts[..., None, :] + near[..., None] * ring, ends[..., None, :] + far[..., None] * ring,
            (starts - near * along)[..., None, :], (ends + far * along)[..., None, :],
        ],
        axis=2,
    )  # [T, B, 18, 3]
    i = np.arange(_SIDES)
    j, low, high = (i + 1) % _SIDES, 2 * _SIDES, 2 * _SIDES + 1
    triangles = np.concatenate([
        np.stack([i, j, _SIDES + j], 1), np.stack([i, _SIDES + j, _SIDES + i], 1),
        np.stack([j, i, np.full_like(i, low)], 1), np.stack([_SIDES + i, _SIDES + j, np.full_like(i, high)], 1),
    ])
    faces = (triangles[None] + _PER_STICK * np.arange(len(radii))[:, None, None]).reshape(-1, 3)
    return vertices.reshape(len(starts), -1, 3), faces


def stick_colors(colors: np.ndarray) -> np.ndarray:
    """[B, 3] -> [B * 18, 3], of the vertices of `stick_mesh`."""
    return np.repeat(colors, _PER_STICK, axis=0)


def vertices_of(bones: np.ndarray) -> np.ndarray:
    """Numbers [N * 18] of the vertices of `stick_mesh` that belong to bones [N]."""
    return (_PER_STICK * np.asarray(bones)[:, None] + np.arange(_PER_STICK)).ravel()
