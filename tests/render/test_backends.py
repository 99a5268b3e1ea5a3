from __future__ import annotations

import logging
import subprocess

import numpy as np
import pytest

from soke.errors import UserError
from soke.render import backends
from soke.render.backends import SoftwareRenderer, VtkRenderer, make_renderer, vtk_problem
from soke.render.camera import Camera, upper_body_camera

SIZE = (160, 120)


@pytest.fixture(params=["software", "vtk"])
def picture(request: pytest.FixtureRequest, doll: tuple) -> np.ndarray:
    """The doll from the front, [120, 160, 3]."""
    if request.param == "vtk" and vtk_problem() is not None:
        pytest.skip(vtk_problem())
    vertices, faces, colors = doll
    renderer = make_renderer(SIZE, upper_body_camera([vertices[None]], SIZE[0] / SIZE[1]), request.param)
    yield renderer.draw(vertices, faces, colors)
    renderer.close()


def center_of(picture: np.ndarray, channels: tuple[int, ...]) -> np.ndarray:
    """Mean (row, column) of the pixels bright in these channels and dark in the others."""
    picture = picture.astype(int)
    others = [c for c in range(3) if c not in channels]
    mask = picture[..., list(channels)].min(-1) > 60 + picture[..., others].max(-1)
    assert mask.any()
    return np.argwhere(mask).mean(axis=0)


def test_upright_seen_from_the_front_with_hands_before_the_body(picture: np.ndarray):
    assert picture.shape == (SIZE[1], SIZE[0], 3) and picture.dtype == np.uint8
    head, left, right = center_of(picture, (0, 1)), center_of(picture, (0,)), center_of(picture, (1,))
    torso = center_of(picture, (2,))
    assert head[0] < left[0] < SIZE[1] and head[0] < torso[0]  # rows count from above
    assert right[1] < head[1] < left[1]  # the subject's left hand is at the right of the picture
    assert abs(left[0] - right[0]) < 2 and abs(head[1] - SIZE[0] / 2) < 2


def test_whole_upper_body_is_in_the_picture(picture: np.ndarray):
    drawn = np.abs(picture.astype(int) - picture[0, 0]).max(axis=-1) > 20
    assert not drawn[0].any() and not drawn[:, 0].any() and not drawn[:, -1].any()
    assert drawn[-1].any()  # the body goes on below the hips


def test_both_renderers_draw_the_same(doll: tuple):
    if vtk_problem() is not None:
        pytest.skip(vtk_problem())
    vertices, faces, colors = doll
    camera = upper_body_camera([vertices[None]])
    moved = vertices + np.float32([0.05, 0.02, 0.1])
    renderers = [make_renderer((128, 128), camera, backend) for backend in ("software", "vtk")]
    for frame, paint in ((vertices, colors), (moved, colors), (moved, colors[:, ::-1])):  # updated in place
        a, b = (renderer.draw(frame, faces, paint).astype(int) for renderer in renderers)
        difference = np.abs(a - b).max(axis=-1)
        assert difference.mean() < 2.0
        assert (difference > 40).mean() < 0.02  # the edges, smoothed in different ways
    other_faces = faces[: len(faces) // 2]  # another mesh on the same renderer
    a, b = (renderer.draw(moved, other_faces, colors).astype(int) for renderer in renderers)
    assert np.abs(a - b).mean() < 2.0
    for renderer in renderers:
        renderer.close()


@pytest.mark.parametrize("backend", ["software", "vtk"])
def test_drawing_leaves_the_input_as_it_was(backend: str, doll: tuple):
    if backend == "vtk" and vtk_problem() is not None:
        pytest.skip(vtk_problem())
    vertices, faces, colors = doll
    clip = np.stack([vertices, vertices + np.float32(0.1)])
    before = clip.copy()
    renderer = make_renderer(SIZE, upper_body_camera([clip]), backend)
    for frame in clip:
        renderer.draw(frame, faces, colors)
    renderer.close()
    np.testing.assert_array_equal(clip, before)


def test_nearer_surface_hides_the_farther_one():
    square = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    vertices = np.concatenate([square, square * 0.5 + np.float32([0, 0, 0.3])])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    colors = np.repeat(np.eye(3)[:2], 4, axis=0)  # red behind, green before
    for order in (faces, faces[::-1]):
        image = SoftwareRenderer((40, 40), Camera((0, 0, 8))).draw(vertices, order, colors)
        assert image[20, 20, 1] > 100 > image[20, 20, 0]
        assert image[20, 10, 0] > 100 > image[20, 10, 1]


def test_unknown_backend_is_a_user_error():
    with pytest.raises(UserError, match="'opengl'.*auto, vtk, software"):
        make_renderer(SIZE, Camera((0, 0, 2)), "opengl")


@pytest.fixture
def fresh_probe():
    for cached in (vtk_problem, backends._warn_of_software):
        cached.cache_clear()
    yield
    for cached in (vtk_problem, backends._warn_of_software):
        cached.cache_clear()


def missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)


def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    result = subprocess.CompletedProcess([], returncode=-11, stdout="", stderr="Failed to load EGL")
    monkeypatch.setattr(backends.subprocess, "run", lambda *args, **kwargs: result)


def hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args, **kwargs):
        raise subprocess.TimeoutExpired("python", kwargs["timeout"])

    monkeypatch.setattr(backends.subprocess, "run", run)


@pytest.mark.parametrize(
    "failure, sentence", [(missing_package, "pip install vtk"), (crash, "libegl1 libgl1"), (hang, "within")]
)
def test_software_draws_where_vtk_cannot(failure, sentence, monkeypatch, caplog, fresh_probe):
    failure(monkeypatch)
    with caplog.at_level(logging.WARNING):
        first = make_renderer(SIZE, Camera((0, 0, 2)))
        second = make_renderer(SIZE, Camera((0, 0, 2)))
    assert isinstance(first, SoftwareRenderer) and isinstance(second, SoftwareRenderer)
    assert len(caplog.records) == 1 and sentence in caplog.text  # said once
    with pytest.raises(UserError, match=sentence):
        make_renderer(SIZE, Camera((0, 0, 2)), "vtk")


def test_auto_takes_vtk_where_it_works():
    if vtk_problem() is not None:
        pytest.skip(vtk_problem())
    renderer = make_renderer(SIZE, Camera((0, 0, 2)))
    assert isinstance(renderer, VtkRenderer)
    renderer.close()
