from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from soke.render import raster
from soke.render.camera import Camera
from soke.render.raster import EMPTY, draw_outlines, ink, project, rasterize, shade, vertex_normals

WIDTH, HEIGHT = 31, 23
CAMERA = Camera((0.1, -0.05, 1.5))


def cast_rays(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The obvious way: a ray through every pixel centre, every triangle tried, the nearest hit lit."""
    eye, focal = np.array(CAMERA.position), CAMERA.focal(HEIGHT)
    normals = vertex_normals(vertices, faces)
    corners = vertices[faces].astype(np.float64)  # [F, 3, 3]
    usable = (eye[2] - corners[..., 2] > 0.02).all(axis=1)
    index = np.full((HEIGHT, WIDTH), EMPTY)
    depth = np.full((HEIGHT, WIDTH), np.inf)
    image = np.tile(raster.BACKGROUND, (HEIGHT, WIDTH, 1))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            ray = np.array([(column + 0.5 - WIDTH / 2) / focal, (HEIGHT / 2 - row - 0.5) / focal, -1.0])
            for f in np.flatnonzero(usable):
                a, b, c = corners[f]
                system = np.stack([a, b, c], axis=1)  # barycentric w with system @ w = eye + s * ray
                try:
                    w, s = np.split(np.linalg.solve(_augmented(system, ray), np.append(eye, 1.0)), [3])
                except np.linalg.LinAlgError:
                    continue
                if w.min() < 0 or s[0] <= 0 or s[0] >= depth[row, column]:
                    continue
                index[row, column], depth[row, column] = f, s[0]
                if np.dot(np.cross(b - a, c - a), ray) > 0:
                    image[row, column] = raster.INSIDE
                    continue
                normal = w @ normals[faces[f]]
                cosine = raster.LIGHT_DIRECTIONS @ (normal / np.linalg.norm(normal))
                light = raster.AMBIENT + raster.LIGHT_STRENGTHS @ cosine.clip(0)
                image[row, column] = np.minimum(1.0, light * (w @ colors[faces[f]]))
    return index, depth, image


def _augmented(system: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """[4, 4]: the point of the triangle less s * ray is the eye; the weights add up to one."""
    return np.block([[system, -ray[:, None]], [np.ones((1, 3)), np.zeros((1, 1))]])


def draw(vertices: np.ndarray, faces: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> tuple:
    points = project(vertices, np.array(CAMERA.position), CAMERA.focal(height), width, height)
    return points, *rasterize(points, faces, width, height)


@pytest.mark.parametrize("seed", range(4))
def test_equals_ray_casting(seed: int, monkeypatch: pytest.MonkeyPatch):
    """Occlusion, intersecting and reversed triangles, some off the picture, some behind the camera."""
    rng = np.random.default_rng(seed)
    faces = np.arange(36, dtype=np.int32).reshape(12, 3)
    centers = rng.uniform([-0.6, -0.5, -0.4], [0.6, 0.5, 0.4], (12, 1, 3))
    centers[0, 0, 2], centers[1, 0, 2] = 1.5, 3.0  # through the camera, behind it
    vertices = (centers + rng.uniform(-0.25, 0.25, (12, 3, 3))).reshape(36, 3).astype(np.float32)
    colors = rng.uniform(0.1, 0.9, (36, 3)).astype(np.float32)
    expected_index, depth, image = cast_rays(vertices, faces, colors)
    points, index, nearness = draw(vertices, faces)
    np.testing.assert_array_equal(index, expected_index)
    assert len(np.unique(index)) > 5
    np.testing.assert_allclose(nearness, 1.0 / depth, rtol=1e-5)
    normals = vertex_normals(vertices, faces)
    flat = np.zeros_like(nearness)  # without depth there are no outlines
    lit = shade(index, flat, points, faces, normals, colors, 1)
    np.testing.assert_allclose(lit, image * 255.0, atol=0.51)


def test_mesh_without_gaps_covers_every_pixel():
    grid = np.linspace(-1.0, 1.0, 9)
    x, y = np.meshgrid(grid, grid)
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)
    a = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 10], 1), np.stack([a, a + 10, a + 9], 1)]).astype(np.int32)
    _, index, _ = draw(vertices, faces)
    assert (index != EMPTY).all()


def test_nothing_in_sight_and_no_area_draw_nothing():
    far_right = np.float32([[50, 0, 0], [51, 0, 0], [50, 1, 0]])
    line = np.float32([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]])
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    for vertices in (far_right, line):
        assert (draw(vertices, faces)[1] == EMPTY).all()


def test_samples_are_averaged(doll: tuple):
    """Supersampling commutes with shading each sample on its own and taking block means."""
    vertices, faces, colors = doll
    vertices = vertices - np.float32([0, 1.2, 0])
    points, index, nearness = draw(vertices, faces, 2 * WIDTH, 2 * HEIGHT)
    normals, flat = vertex_normals(vertices, faces), np.zeros_like(nearness)
    fine = shade(index, flat, points, faces, normals, colors, 1)
    blocks = fine.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(shade(index, flat, points, faces, normals, colors, 2), blocks, atol=1.0)


def test_normals_of_a_ball_point_outwards(ball: Callable):
    vertices, faces = ball((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), rows=24)
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, rtol=1e-5)
    assert (normals * vertices).sum(axis=1).min() > 0.98


def test_vertex_without_a_face_has_no_normal():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]])
    normals = vertex_normals(vertices, np.array([[0, 1, 2]], dtype=np.int32))
    np.testing.assert_array_equal(normals, [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]])


def test_outline_where_a_finger_is_before_the_palm_but_not_on_a_slope_nor_on_the_background():
    depth = np.full((9, 12), 2.0)
    depth[:, 6:] = 1.97  # three centimetres nearer
    assert ink(1 / depth, 4, 5, 1) < 1.0  # the last pixel of the farther surface
    assert ink(1 / depth, 4, 4, 1) == 1.0 and ink(1 / depth, 4, 6, 1) == 1.0
    slope = 2.0 - 0.02 * np.arange(12)[None].repeat(9, axis=0)
    assert all(ink(1 / slope, 4, column, 1) == 1.0 for column in range(12))
    image = np.full((9, 12, 3), 200, dtype=np.uint8)
    nearness = 1 / depth
    nearness[:3] = 0.0
    draw_outlines(image, nearness)
    assert (image[:3] == 200).all() and (image[4:8, 5] < 150).all() and (image[:, 6:] == 200).all()
