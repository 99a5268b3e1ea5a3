from __future__ import annotations

import numpy as np
import pytest
import torch

from soke.body.clothes import clothed_colors


def test_clothes_follow_the_joints():
    one_joint_each = np.eye(55)
    colors = clothed_colors(one_joint_each, np.zeros((55, 3)))
    bare = {12, 15, 20, 21, 22, *range(25, 55)}
    shirt = {3, 6, 9, 13, 14, 16, 17, 18, 19}
    assert {j for j in range(55) if np.allclose(colors[j], colors[15], atol=1e-6)} == bare
    assert {j for j in range(55) if np.allclose(colors[j], colors[9], atol=1e-6)} == shirt
    assert colors[9].max() < 0.5 < colors[15].min()  # dark shirt, light hands
    assert np.allclose(colors[0], colors[4], atol=1e-6) and not np.allclose(colors[0], colors[9], atol=0.05)


def test_dominant_joint_wins_at_a_hem():
    weights = np.zeros((2, 55))
    weights[:, 18], weights[:, 20] = (0.8, 0.2), (0.2, 0.8)
    sleeve, hand = clothed_colors(weights, np.zeros((2, 3)))
    pure = clothed_colors(np.eye(55), np.zeros((55, 3)))
    assert np.abs(sleeve - pure[18]).max() < 0.05 and np.abs(hand - pure[20]).max() < 0.05


def test_iris_is_at_the_front_of_the_eyeball():
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(600, 3))
    ball = 0.012 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    weights = np.zeros((600, 55))
    weights[:, 23] = 1.0
    colors = clothed_colors(weights, ball + [0.03, 0.4, 0.1])
    dark = colors.max(axis=1) < 0.5
    forward = ball[:, 2] - ball[:, 2].mean()
    assert 0 < dark.sum() < 60
    assert forward[dark].min() > forward[~dark].max() - 0.002  # the ball's centre is that of its vertices, not exact
    assert colors[~dark].min() > 0.9


def test_lips_and_mouth_are_coloured_where_named():
    lips, mouth = np.zeros(55, dtype=bool), np.zeros(55, dtype=bool)
    lips[22], mouth[15] = True, True
    plain = clothed_colors(np.eye(55), np.zeros((55, 3)))
    colors = clothed_colors(np.eye(55), np.zeros((55, 3)), lips, mouth)
    changed = np.flatnonzero((colors != plain).any(axis=1))
    assert changed.tolist() == [15, 22]
    assert (colors[changed, 0] > 1.3 * colors[changed, 1]).all()  # red


def test_eyebrows_are_dark_along_their_lines_and_fade_beside_them():
    weights = np.zeros((5, 55))
    weights[:, 15] = 1.0
    brows = np.array([[[0.0, 0.0, 0.0], [0.02, 0.01, 0.0], [0.03, 0.0, 0.0]], [[9.0, 9.0, 9.0]] * 3])
    across = np.array([-1.0, 2.0, 0.0]) / np.sqrt(5.0)  # the first segment, from whose middle the points go away
    points = np.array([0.01, 0.005, 0.0]) + np.array([0.0, 0.0015, 0.004, 0.0065, 0.02])[:, None] * across
    colors = clothed_colors(weights, points, brows=brows)
    skin = clothed_colors(weights, points)
    brightness = colors.sum(axis=1)
    assert brightness[0] == brightness[1] < 0.35 * skin[0].sum()  # as dark as it gets
    np.testing.assert_allclose(colors[2], 0.5 * (colors[0] + skin[0]), atol=1e-6)  # halfway
    np.testing.assert_array_equal(colors[3:], skin[3:])


def test_the_bodys_eyebrows_are_above_its_eyes(body):
    right, left = body.brows.numpy()
    eyes = {side: body.template[body.weights[:, joint] > 0.99].numpy() for side, joint in (("l", 23), ("r", 24))}
    for brow, eye in ((left, eyes["l"]), (right, eyes["r"])):
        assert eye[:, 0].min() - 0.02 < brow[:, 0].min() and brow[:, 0].max() < eye[:, 0].max() + 0.02
        assert 0.0 < (brow[:, 1] - eye[:, 1].mean()).min() and (brow[:, 1] - eye[:, 1].mean()).max() < 0.04
    away = torch.cdist(body.template, body.brows.flatten(0, 1)).amin(dim=1)
    brightness = body.colors.sum(dim=1)
    assert brightness[away < 0.002].max() < 0.7 and 8 <= int((away < 0.002).sum()) < 60


def test_weights_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"\[10, 55\].*\[10, 24\]"):
        clothed_colors(np.ones((10, 24)), np.zeros((10, 3)))
