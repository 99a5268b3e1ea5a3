from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_LEFT_HAND, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.body.skeletonise import skeleton_50
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


def signing(seed: int, frames: int = 3, joints: tuple[str, ...] = SKELETON_50) -> JointMotion:
    positions = torch.randn(frames, len(joints), 3, generator=torch.Generator().manual_seed(seed))
    return JointMotion(positions, joints, 25.0)


def test_each_hand_of_a_stick_figure_has_a_close_up_that_shows_its_fingers_alone_and_does_not_wander():
    motion = signing(1)
    wandering = JointMotion(motion.positions + torch.arange(3.0)[:, None, None], SKELETON_50, 25.0)
    still, moved = (figures_of(Skeleton(SKELETON_50), {"a": m})[0] for m in (motion, wandering))
    assert len(still.close_ups) == 2 and not np.allclose(still.vertices[2], moved.vertices[2], atol=0.1)
    for close_up, same, cold in zip(still.close_ups, moved.close_ups, (True, False)):
        part = close_up.part
        assert part.vertices.shape == (3, 20 * 18, 3)  # of five fingers of four bones
        assert (part.colors[:, 2] > part.colors[:, 0]).all() == cold  # the right hand, then the left
        np.testing.assert_allclose(part.vertices, same.part.vertices, atol=1e-5)
        assert np.abs(part.vertices[:, :].mean(axis=1)).max() < 0.3 < np.ptp(part.vertices)
        assert len(np.unique(part.colors, axis=0)) == 5 and len(close_up.seen) == 360
        ends = still.vertices.shape[1]
        assert len(part.faces) == 20 * len(still.faces) * 18 // ends  # whole bones


def test_a_skeleton_without_hands_has_no_close_ups_and_one_hand_has_one():
    joints = ("neck", "nose", "left_shoulder")
    assert figures_of(Skeleton(joints), {"a": signing(1, joints=joints)})[0].close_ups == ()
    (figure,) = figures_of(Skeleton(SKELETON_LEFT_HAND), {"a": signing(1, joints=SKELETON_LEFT_HAND)})
    assert len(figure.close_ups) == 1


def test_a_skeleton_is_drawn_as_the_body_is_and_not_in_a_mirror(body):
    """Of a motion in which the right hand is raised, in the files' coordinates, the right hand is at the same side."""
    motion = Motion.rest(1, 25.0)
    motion.rotations[:, joint_indices(["right_shoulder"])[0]] = torch.tensor([0.0, 0.0, -1.0])
    (surface,) = figures_of(body, {"a": motion})
    (sticks,) = figures_of(Skeleton(SKELETON_50, up="-y"), {"a": skeleton_50(body, motion)})
    raised = surface.vertices[0, body.hand_vertices["right"].numpy()].mean(axis=0) - surface.vertices[0].mean(axis=0)
    cold = sticks.colors[:, 2] > sticks.colors[:, 0] + 0.2
    right, other = (sticks.vertices[0, side].mean(axis=0) for side in (cold, ~cold))
    assert raised[0] < -0.1 and raised[1] > 0.2
    assert right[0] < other[0] and right[1] > other[1]
