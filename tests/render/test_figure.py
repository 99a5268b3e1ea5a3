from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.render.figure import Figure, figures_of

TRIANGLE = np.zeros((3, 3, 3), dtype=np.float32)
FACES = np.array([[0, 1, 2]])
COLORS = np.ones((3, 3))


def test_first_nan_frame_is_named():
    vertices = TRIANGLE.copy()
    vertices[1, 2, 0] = np.nan
    vertices[2, 0, 0] = np.inf
    with pytest.raises(ValueError, match="'generated'.*frame 1$"):
        Figure(vertices, FACES, COLORS, "generated", 20)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"vertices": TRIANGLE[0]}, "vertices must be"),
        ({"vertices": TRIANGLE[:0]}, "vertices must be"),
        ({"faces": FACES[:, :2]}, "faces must be"),
        ({"faces": FACES + 1}, "outside 0..2"),
        ({"faces": FACES - 1}, "outside 0..2"),
        ({"colors": COLORS[:2]}, r"colors must be \[3, 3\]"),
        ({"fps": 0}, "fps must be positive"),
    ],
)
def test_wrong_shapes_are_refused(change: dict, message: str):
    good = {"vertices": TRIANGLE, "faces": FACES, "colors": COLORS, "label": "x", "fps": 20}
    assert len(Figure(**good)) == 3
    with pytest.raises(ValueError, match=message):
        Figure(**{**good, **change})


def test_a_body_with_a_surface_is_drawn_as_it_is(body):
    (figure,) = figures_of(body, {"reference": Motion.rest(2, 25.0)})
    np.testing.assert_allclose(figure.vertices[0], body.template.numpy(), atol=1e-5)
    assert figure.faces.shape == body.faces.shape and not figure.whole
    colors = {side: figure.colors[vertices.numpy()] for side, vertices in body.hand_vertices.items()}
    assert all(np.median(hand[:, 0]) > 0.8 > np.median(hand[:, 2]) > 0.5 for hand in colors.values())  # bare skin


def figures(unit: str, scale: float) -> list[Figure]:
    """Of an upright arm of 2 units, and of one half as long."""
    joints = ("left_shoulder", "left_elbow", "left_wrist")
    arm = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 2.0, 0.0]]])
    motions = {name: JointMotion(size * scale * arm, joints, 25.0) for name, size in (("one", 1.0), ("half", 0.5))}
    return figures_of(Skeleton(joints, unit), motions)


def test_stick_figures_keep_their_sizes_to_each_other_and_those_of_no_known_unit_fill_the_picture():
    for scale in (0.01, 1.0, 70.0):
        one, half = figures("unit", scale)
        assert np.ptp(one.vertices[..., 1]) == pytest.approx(1.0, abs=0.05)  # thickness is added
        assert np.ptp(half.vertices[..., 1]) == pytest.approx(0.5, abs=0.05)
        assert one.whole and half.whole
    one, _ = figures("m", 0.3)
    assert np.ptp(one.vertices[..., 1]) == pytest.approx(0.6, abs=0.05)
