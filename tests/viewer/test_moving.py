"""Figures: every frame is the body's own, whatever is asked for first; and what there is to be seen of them."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50, joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.viewer.moving import Moving, Posing, moving_of
from soke.viewer.paint import painted


def moved(frames: int = 20) -> Motion:
    torch.manual_seed(0)
    motion = Motion.rest(frames, 25.0)
    return replace(motion, rotations=0.1 * torch.randn(frames, 55, 3).cumsum(0) / frames**0.5)


def test_frames_are_those_of_the_body_to_the_bit(body):
    motion = moved()
    figure, surface = Moving("one", motion, body), body.surface(motion).numpy()
    for frame in (19, 0, 16, 15, 3):
        np.testing.assert_allclose(figure.frame(frame), surface[frame], atol=1e-6)
    assert figure.prepared and figure.duration == pytest.approx(0.8)


def test_what_is_left_is_prepared_block_by_block(body):
    figure = Moving("one", moved(40), body)
    for _ in range(3):
        assert not figure.prepared
        figure.prepare()
    assert figure.prepared


def test_hands_and_head_lie_where_they_are(body):
    motion, figure = moved(), Moving("one", moved(), body)
    points = body.track(motion)
    head = points["body"][:, joint_indices(["head"])[0]].numpy()
    assert (head > figure.seen.head.low - 0.02).all() and (head < figure.seen.head.high + 0.02).all()
    low, high = figure.seen.hands.low - 0.05, figure.seen.hands.high + 0.05
    for side in ("left_hand", "right_hand"):
        assert ((points[side].numpy() > low) & (points[side].numpy() < high)).mean() > 0.95
    assert figure.seen.body.low[1] > body.surface(motion)[..., 1].min() + 0.6  # no legs


def test_sticks_of_a_body_and_of_positions(body):
    positions = JointMotion(torch.randn(5, 50, 3), SKELETON_50, 25.0)
    posings = {"body": Posing(moved(), body), "points": Posing(positions, body)}
    found, faults = moving_of(posings, "sticks")
    assert list(found) == ["body", "points"] and not faults
    assert found["body"].count == 20 and found["points"].count == 5
    as_mesh, _ = moving_of(posings, "mesh")
    assert len(as_mesh["body"].colors) == 10475 and len(as_mesh["points"].colors) < 2000


def test_positions_of_half_the_size_are_shown_half_as_large():
    skeleton, large = Skeleton(SKELETON_50), JointMotion(torch.randn(5, 50, 3), SKELETON_50, 25.0)
    broken, half = (replace(large, positions=factor * large.positions) for factor in (torch.nan, 0.5))
    posings = {name: Posing(motion, skeleton) for name, motion in (("x", broken), ("a", large), ("b", half))}
    found, faults = moving_of(posings, "mesh")
    assert list(faults) == ["x"] and list(found) == ["a", "b"]
    np.testing.assert_allclose(found["b"].seen.body.size / found["a"].seen.body.size, 0.5, atol=0.05)  # bones are as thick


def test_what_cannot_be_shown_says_why_and_hides_nothing_else(body):
    broken = replace(moved(), rotations=torch.full((20, 55, 3), torch.nan))
    empty = Motion.rest(0, 25.0)
    found, faults = moving_of({"a": Posing(broken, body), "b": Posing(moved(), body), "c": Posing(empty, body)}, "mesh")
    assert list(found) == ["b"] and "finite" in faults["a"] and "no frames" in faults["c"]


def test_a_figure_is_painted_in_few_colours_and_every_triangle_in_one_of_its_corners(body):
    faces, colors = body.faces.numpy().astype(np.int32), body.colors.numpy().astype(np.float32)
    palette, labels = painted(faces.tobytes(), colors.tobytes())
    assert len(labels) == len(faces) and len(palette) < 24
    pure = (255 * colors).round()
    away = np.abs(palette[labels] - pure[faces].mean(1)).max(1)
    assert (away < 1).mean() > 0.9  # all but the seams
    skin, shirt = pure[faces[labels == labels[0]]], len(np.unique(labels))
    assert len(skin) and shirt == len(palette)


def test_seams_take_the_colours_that_meet_there():
    colors = np.array([[1, 0, 0]] * 8 + [[0.5, 0.5, 0]] + [[0, 1, 0]] * 8 + [[0.5, 0.45, 0.1]] * 8, np.float32)
    faces = np.array([[0, 1, 8], [8, 9, 10], [17, 18, 19]], np.int32)
    palette, labels = painted(faces.tobytes(), colors.tobytes())
    assert palette[labels].tolist() == [[255, 0, 0], [0, 255, 0], [128, 115, 26]]
