"""Bones as closed, outward meshes."""
from __future__ import annotations

import numpy as np
import pytest

from soke.render.sticks import stick_colors, stick_mesh


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("fc,fc->f", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("seed", range(5))
def test_a_stick_is_closed_outward_and_as_thick_as_said(seed):
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(size=(2, 3, 1, 3))  # three frames of one bone
    vertices, faces = stick_mesh(starts, ends, np.array([0.05]))
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # every edge once in each direction
    assert {tuple(e) for e in edges} == {(b, a) for a, b in edges}
    for frame, start, end in zip(vertices, starts[:, 0], ends[:, 0]):
        length = np.linalg.norm(end - start)
        octagon = 2 * np.sqrt(2)  # area of a regular octagon of radius 1
        frustum = octagon * 0.05**2 * (1 + 0.7 + 0.7**2) / 3 * length
        tips = octagon * (0.05**3 + (0.7 * 0.05) ** 3) / 3
        assert volume(frame, faces) == pytest.approx(frustum + tips, rel=1e-6)
        along = (end - start) / length
        from_axis = np.linalg.norm(np.cross(frame[:8] - start, along), axis=1)
        np.testing.assert_allclose(from_axis, 0.05)


def test_bones_follow_each_other_and_may_have_no_length():
    starts = np.zeros((1, 3, 3))
    ends = np.array([[[1.0, 0, 0], [0, 0, 0], [0, 0, -2.0]]])
    vertices, faces = stick_mesh(starts, ends, np.full(3, 0.1))
    colors = stick_colors(np.eye(3))
    assert vertices.shape == (1, 54, 3) and np.isfinite(vertices).all() and len(colors) == 54
    assert faces.max() == 53 and (faces // 18 == (faces // 18)[:, :1]).all()  # no triangle joins two bones
    assert vertices[0, colors[:, 0] == 1, 0].max() == pytest.approx(1.07)
    assert vertices[0, colors[:, 2] == 1, 2].min() == pytest.approx(-2.07)
