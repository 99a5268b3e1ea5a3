"""Cameras: what must be seen is in the picture, and figures stand where they are seen largest."""
from __future__ import annotations

import numpy as np
import pytest

from soke.viewer.cameras import CAMERAS, Box, Camera, Seen, above, places

SEEN = Seen(
    Box(np.array([-0.4, 0.0, -0.2]), np.array([0.4, 0.8, 0.5])),
    Box(np.array([-0.1, 0.55, -0.1]), np.array([0.1, 0.8, 0.1])),
    Box(np.array([-0.3, 0.1, 0.1]), np.array([0.3, 0.5, 0.5])),
)


def corners(box: Box) -> np.ndarray:
    return np.array([[(box.low, box.high)[i][0], (box.low, box.high)[j][1], (box.low, box.high)[k][2]]
                     for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def in_picture(camera: Camera, points: np.ndarray, aspect: float, covered: float = 0.0) -> np.ndarray:
    """Whether points [N, 3] are in a picture, y upwards, above the share that is covered."""
    forward = camera.look_at - camera.position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    away = points - camera.position
    depth, half = away @ forward, np.tan(0.5 * camera.fov)
    lowest = -(1 - 2 * covered) * half * depth - 1e-9
    inside = (away @ up >= lowest) & (away @ up <= half * depth + 1e-9) & (abs(away @ right) <= half * aspect * depth + 1e-9)
    return inside & (depth > 0)


@pytest.mark.parametrize("aspect", [0.45, 1.0, 2.2])
@pytest.mark.parametrize("name, part", [("front", "body"), ("three quarters", "body"), ("hands", "hands"), ("face", "head")])
def test_what_a_camera_is_for_is_in_the_picture(name, part, aspect):
    seen = [SEEN, SEEN.moved(np.array([0.9, 0.0, 0.0]))]
    camera = CAMERAS[name](seen, 1, aspect)
    shown = seen if part == "body" else seen[1:]
    for figure in shown:
        assert in_picture(camera, corners(getattr(figure, part)), aspect).all()


@pytest.mark.parametrize("aspect, covered", [(0.45, 0.6), (1.2, 0.3), (2.2, 0.0)])
def test_above_a_panel_there_is_all_of_it(aspect, covered):
    seen = [SEEN, SEEN.moved(np.array([0.2, -0.9, 0.0]))]
    for name in ("front", "three quarters"):
        camera = above(CAMERAS[name](seen, 0, aspect / (1 - covered)), covered)
        for figure in seen:
            assert in_picture(camera, corners(figure.body), aspect, covered).all()


def test_the_front_is_before_the_signer_and_three_quarters_to_her_left():
    front, aside = (CAMERAS[name]([SEEN], 0, 1.0).position for name in ("front", "three quarters"))
    assert front[2] > 1 and abs(front[0]) < 1e-9
    assert aside[0] > 0.5 and aside[2] > 1


def test_the_signers_own_view_looks_from_her_head_at_her_hands():
    camera = CAMERAS["signer's view"]([SEEN], 0, 1.5)
    assert SEEN.head.low[1] < camera.position[1] < SEEN.head.high[1]
    assert camera.look_at[2] > camera.position[2] and camera.look_at[1] < camera.position[1]
    assert in_picture(camera, SEEN.hands.middle[None], 1.5).all()


def test_figures_stand_beside_each_other_in_a_wide_picture_and_above_each_other_in_a_high_one():
    sizes = [np.array([0.8, 0.8, 0.5])] * 4
    wide, high, square = (places(sizes, aspect) for aspect in (4.0, 0.3, 1.0))
    assert (wide[:, 1] == 0).all() and (np.diff(wide[:, 0]) > 0.79).all() and wide[:, 0].sum() == pytest.approx(0)
    assert (high[:, 0] == 0).all() and (np.diff(high[:, 1]) < -0.79).all()
    assert len(np.unique(square[:, 0])) == len(np.unique(square[:, 1])) == 2
    assert (places(sizes[:1], 1.0) == 0).all()
