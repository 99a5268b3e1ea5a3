"""Two renderers with one camera and one light: pyvista (VTK, OpenGL without a display) and the software rasteriser."""
from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from functools import lru_cache
from typing import Protocol

import numpy as np

from soke.errors import UserError
from soke.render.camera import Camera
from soke.render.raster import (
    AMBIENT,
    BACKGROUND,
    INSIDE,
    LIGHT_DIRECTIONS,
    LIGHT_STRENGTHS,
    draw_outlines,
    project,
    rasterize,
    shade,
    vertex_normals,
)

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "pyvista", "software")
_SAMPLES = 2  # software: per pixel and direction

# Run in a process of its own: where OpenGL is missing, VTK does not raise, it aborts.
_PROBE = """
import pyvista
plotter = pyvista.Plotter(off_screen=True, window_size=(32, 32))
plotter.set_background("white")
plotter.add_mesh(pyvista.Sphere(), color="black", lighting=False)
assert plotter.screenshot(return_img=True)[16, 16].max() < 50
print("drawn")
"""
_PROBE_SECONDS = 120


class Renderer(Protocol):
    """Draws one mesh at a time with the camera it was made with. Close it when done."""

    def draw(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
        """vertices [V, 3] metres, faces [F, 3], colors [V, 3] in 0..1 -> picture [H, W, 3] uint8."""

    def close(self) -> None:
        """Give back windows and memory."""


class SoftwareRenderer:
    """Needs numba alone; one core."""

    def __init__(self, size: tuple[int, int], camera: Camera) -> None:
        self.width, self.height = size
        self.camera = camera

    def draw(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
        vertices = np.ascontiguousarray(vertices, dtype=np.float32)
        faces = np.ascontiguousarray(faces, dtype=np.int32)
        width, height = self.width * _SAMPLES, self.height * _SAMPLES
        points = project(vertices, np.asarray(self.camera.position), self.camera.focal(height), width, height)
        index, nearness = rasterize(points, faces, width, height)
        colors = np.ascontiguousarray(colors, dtype=np.float32)
        return shade(index, nearness, points, faces, vertex_normals(vertices, faces), colors, _SAMPLES)

    def close(self) -> None:
        pass


class PyvistaRenderer:
    """One off-screen plotter; a new frame of the same mesh is written into the points it already has."""

    def __init__(self, size: tuple[int, int], camera: Camera) -> None:
        import pyvista
        from vtkmodules.vtkCommonCore import vtkFloatArray, vtkLogger

        # else it warns of a missing X server on every machine without a screen, and then draws all the same
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)

        self._vtk_floats = vtkFloatArray
        self._pyvista = pyvista
        self._mesh = None
        self._faces = None
        self._plotter = pyvista.Plotter(off_screen=True, window_size=size, lighting=None)
        self._plotter.set_background(BACKGROUND.tolist())
        self._plotter.enable_anti_aliasing("msaa", multi_samples=4)
        x, y, z = camera.position
        self._plotter.camera.position = (x, y, z)
        self._plotter.camera.focal_point = (x, y, z - 1.0)
        self._plotter.camera.up = (0.0, 1.0, 0.0)
        self._plotter.camera.view_angle = float(np.rad2deg(camera.fov))
        for direction, strength in zip(LIGHT_DIRECTIONS, LIGHT_STRENGTHS):
            light = pyvista.Light(position=direction.tolist(), focal_point=(0.0, 0.0, 0.0), light_type="scene light")
            light.intensity = float(strength)
            self._plotter.add_light(light)

    def draw(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
        vertices = np.ascontiguousarray(vertices, dtype=np.float32)
        faces = np.ascontiguousarray(faces, dtype=np.int32)
        rgb = (np.clip(colors, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        normals = vertex_normals(vertices, faces)
        if self._mesh is None or len(vertices) != self._mesh.n_points or not np.array_equal(faces, self._faces):
            self._mesh, self._faces = self._pyvista.PolyData.from_regular_faces(vertices.copy(), faces), faces
            self._mesh.point_data["rgb"] = rgb
            self._mesh.point_data.active_normals = normals
            self._plotter.clear_actors()
            self._plotter.add_mesh(
                self._mesh,
                scalars="rgb",
                rgb=True,
                ambient=AMBIENT,
                diffuse=1.0,
                specular=0.0,
                interpolation="phong",
                backface_params={"color": INSIDE.tolist(), "ambient": 1.0, "diffuse": 0.0, "specular": 0.0},
                reset_camera=False,
            )
        else:
            self._mesh.points[:] = vertices
            self._mesh.point_data["rgb"][:] = rgb
            self._mesh.point_data.active_normals[:] = normals
            self._mesh.GetPoints().Modified()
            self._mesh.Modified()
        self._plotter.reset_camera_clipping_range()
        self._plotter.render()
        image = np.array(self._plotter.screenshot(return_img=True)[..., :3])
        draw_outlines(image, self._nearness(image.shape[0], image.shape[1]))
        return image

    def _nearness(self, height: int, width: int) -> np.ndarray:
        """1 / depth [height, width] of the picture just drawn, 0 on the background, from OpenGL's 0..1 depth buffer."""
        buffer = self._vtk_floats()
        self._plotter.render_window.GetZbufferData(0, 0, width - 1, height - 1, buffer)
        depth = self._pyvista.convert_array(buffer).reshape(height, width)[::-1]  # VTK counts rows from below
        near, far = self._plotter.camera.clipping_range
        return np.where(depth < 1.0, (far - depth * (far - near)) / (far * near), 0.0)

    def close(self) -> None:
        self._plotter.close()


@lru_cache(maxsize=1)
def pyvista_problem() -> str | None:
    """Why pyvista cannot draw here, as one sentence; None when it can. Asked once per process."""
    if importlib.util.find_spec("pyvista") is None:
        return "pyvista is not installed (pip install pyvista)"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"pyvista did not draw a first picture within {_PROBE_SECONDS} s"
    if probe.returncode != 0 or "drawn" not in probe.stdout:
        return "pyvista finds no working OpenGL (on Debian: apt-get install libegl1 libgl1)"
    return None


@lru_cache(maxsize=1)
def _warn_of_software(problem: str) -> None:
    logger.warning("%s: the built-in software rasteriser draws instead", problem)


def make_renderer(size: tuple[int, int], camera: Camera, backend: str = "auto") -> Renderer:
    """A renderer for pictures of `size` (width, height) in pixels.

    backend: "auto" takes pyvista where it works and else, saying so once in the log, the software rasteriser.
    Raises UserError for an unknown backend, and for "pyvista" where it cannot draw.
    """
    if backend not in BACKENDS:
        raise UserError(f"unknown render backend '{backend}': choose one of {', '.join(BACKENDS)}")
    if backend == "software":
        return SoftwareRenderer(size, camera)
    problem = pyvista_problem()
    if problem is None:
        return PyvistaRenderer(size, camera)
    if backend == "pyvista":
        raise UserError(f"{problem}; or choose the backend 'software'")
    _warn_of_software(problem)
    return SoftwareRenderer(size, camera)
