"""Small meshes for the renderers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.render.shapes import make_ball


@pytest.fixture(scope="session")
def ball() -> Callable:
    """`make_ball` for the tests."""
    return make_ball


PARTS = {  # name: (centre, radii, colour): a doll as tall as a person, facing +z
    "torso": ((0.0, 1.15, 0.0), (0.18, 0.35, 0.11), (0.1, 0.1, 0.9)),
    "legs": ((0.0, 0.45, 0.0), (0.14, 0.45, 0.10), (0.3, 0.3, 0.3)),
    "head": ((0.0, 1.60, 0.0), (0.08, 0.11, 0.10), (0.9, 0.9, 0.1)),
    "left_hand": ((0.30, 1.20, 0.20), (0.05, 0.05, 0.05), (0.9, 0.1, 0.1)),
    "right_hand": ((-0.30, 1.20, 0.20), (0.05, 0.05, 0.05), (0.1, 0.9, 0.1)),
}


@pytest.fixture(scope="session")
def doll() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """vertices [V, 3], faces [F, 3], colors [V, 3] of a doll with a red left and a green right hand, a yellow head."""
    vertices, faces, colors, count = [], [], [], 0
    for center, radii, color in PARTS.values():
        v, f = make_ball(center, radii)
        vertices.append(v)
        faces.append(f + count)
        colors.append(np.tile(np.float32(color), (len(v), 1)))
        count += len(v)
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(colors)
