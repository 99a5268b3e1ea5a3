from __future__ import annotations

import numpy as np

from soke.render.camera import upper_body_camera, whole_camera
from soke.render.raster import project

SIZE = 200


def image_points(clip: np.ndarray, clips: list[np.ndarray]) -> np.ndarray:
    """x, y in pixels [T, V, 2] as the camera for `clips` sees them."""
    camera = upper_body_camera(clips)
    eye = np.array(camera.position)
    return np.stack([project(frame, eye, camera.focal(SIZE), SIZE, SIZE)[:, :2] for frame in clip])


def test_raised_and_spread_hands_stay_in_the_picture(doll: tuple):
    vertices = doll[0]
    clip = np.stack([vertices] * 3)
    hands = np.abs(vertices[:, 0]) > 0.24
    clip[1, hands] += np.float32([0, 0.65, 0.1])  # above the head
    clip[2, hands] *= np.float32([2.2, 1, 1])  # far out
    seen = image_points(clip, [clip])
    above_hips = vertices[:, 1] > 1.0
    assert (seen[:, above_hips] > 0).all() and (seen[:, above_hips] < SIZE).all()


def test_place_of_the_body_does_not_change_its_picture(doll: tuple):
    clip = doll[0][None]
    moved = clip + np.float32([3, -1, 2])
    np.testing.assert_allclose(image_points(moved, [moved]), image_points(clip, [clip]), atol=0.01)


def test_hips_are_the_lower_edge_and_the_body_is_large(doll: tuple):
    clip = doll[0][None]
    seen = image_points(clip, [clip])[0]
    head, legs = doll[0][:, 1] > 1.5, doll[0][:, 1] < 0.7
    assert 0 < seen[head, 1].min() < 0.15 * SIZE  # little empty space above the head
    assert seen[legs, 1].min() > SIZE  # no legs


def test_one_vertex_gone_astray_does_not_shrink_the_body(doll: tuple):
    clip = doll[0][None]
    wild = clip.copy()
    wild[0, -1] = [4, 1.2, 0]
    np.testing.assert_allclose(upper_body_camera([wild]).position, upper_body_camera([clip]).position, atol=0.03)


def test_one_camera_serves_all_figures(doll: tuple):
    clip = doll[0][None]
    tall = clip * np.float32(1.1)
    for figure in (clip, tall):
        seen = image_points(figure, [clip, tall])[0][figure[0, :, 1] > 1.2]
        assert (seen > 0).all() and (seen < SIZE).all()


def test_a_whole_figure_is_seen_and_fills_the_picture():
    rng = np.random.default_rng(0)
    clip = rng.uniform(-0.5, 0.5, (4, 60, 3)) + [3.0, -2.0, 1.0]
    broken = clip.copy()
    broken[2, 7] += 40.0  # an error of the motion
    for clips in ([clip], [broken, clip]):
        camera = whole_camera(clips)
        eye = np.array(camera.position)
        points = np.concatenate([project(frame, eye, camera.focal(SIZE), SIZE, SIZE)[:, :2] for frame in clip])
        assert (points > 0).all() and (points < SIZE).all()
        assert np.ptp(points, axis=0).max() > 0.85 * SIZE


def test_points_that_coincide_have_a_camera():
    camera = whole_camera([np.ones((2, 3, 3))])
    assert np.isfinite(camera.position).all() and camera.position[2] > 1.0
