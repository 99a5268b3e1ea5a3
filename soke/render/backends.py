"""Two renderers with one camera and one light: VTK (OpenGL without a display) and the software rasteriser."""
from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
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

BACKENDS = ("auto", "vtk", "software")
_SAMPLES = 2  # software: per pixel and direction

# Run in a process of its own: where OpenGL is missing, VTK does not raise, it aborts.
_PROBE = """
from soke.render.backends import VtkRenderer
from soke.render.camera import Camera
import numpy as np
square = np.float32([[-1, -1, 0], [1, -1, 0], [0, 1, 0]])
picture = VtkRenderer((32, 32), Camera((0.0, 0.0, 3.0))).draw(square, np.array([[0, 1, 2]]), np.zeros((3, 3)))
assert picture[16, 16].max() < 50 < 200 < picture[0, 0].min()
print("drawn")
"""
_PROBE_SECONDS = 120
_ROOT = Path(__file__).resolve().parents[2]


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


class VtkRenderer:
    """One window off the screen; a new frame of the same mesh is written into the points it already has."""

    def __init__(self, size: tuple[int, int], camera: Camera) -> None:
        from vtkmodules import vtkRenderingCore as rendering
        from vtkmodules import vtkRenderingOpenGL2  # noqa: F401, without it nothing is drawn
        from vtkmodules.vtkCommonCore import vtkLogger

        # else it warns of a missing X server on every machine without a screen, and then draws all the same
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
        self._mesh = None
        self._faces = None
        self._scene = rendering.vtkRenderer()
        self._scene.SetBackground(BACKGROUND.tolist())
        self._scene.SetAutomaticLightCreation(False)
        self._window = rendering.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(4)
        self._window.SetSize(size)
        self._window.AddRenderer(self._scene)
        view = self._scene.GetActiveCamera()
        x, y, z = camera.position
        view.SetPosition(x, y, z)
        view.SetFocalPoint(x, y, z - 1.0)
        view.SetViewUp(0.0, 1.0, 0.0)
        view.SetViewAngle(float(np.rad2deg(camera.fov)))
        for direction, strength in zip(LIGHT_DIRECTIONS, LIGHT_STRENGTHS):
            light = rendering.vtkLight()
            light.SetLightTypeToSceneLight()
            light.SetPosition(direction.tolist())
            light.SetFocalPoint(0.0, 0.0, 0.0)
            light.SetIntensity(float(strength))
            self._scene.AddLight(light)

    def draw(self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> np.ndarray:
        vertices = np.ascontiguousarray(vertices, dtype=np.float32)
        faces = np.ascontiguousarray(faces, dtype=np.int32)
        rgb = (np.clip(colors, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        values = (vertices, vertex_normals(vertices, faces), rgb)
        if self._mesh is None or len(vertices) != len(self._arrays[0]) or not np.array_equal(faces, self._faces):
            self._show(values, faces)
        else:
            for array, new in zip(self._arrays, values):
                array[:] = new
            data = self._mesh.GetPointData()
            for changed in (self._mesh.GetPoints().GetData(), data.GetNormals(), data.GetScalars(), self._mesh):
                changed.Modified()
        self._scene.ResetCameraClippingRange()
        self._window.Render()
        image = self._picture()
        draw_outlines(image, self._nearness(image.shape[0], image.shape[1]))
        return image

    def _show(self, values: tuple[np.ndarray, np.ndarray, np.ndarray], faces: np.ndarray) -> None:
        """Draws this mesh, of points, normals and colours, from now on, and no other."""
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkPoints
        from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkProperty

        vertices, normals, rgb = (numpy_to_vtk(array, deep=True) for array in values)
        self._arrays, self._faces = [vtk_to_numpy(array) for array in (vertices, normals, rgb)], faces
        points, triangles, self._mesh = vtkPoints(), vtkCellArray(), vtkPolyData()
        points.SetData(vertices)
        triangles.SetData(3, numpy_to_vtk(faces.ravel(), deep=True))
        self._mesh.SetPoints(points)
        self._mesh.SetPolys(triangles)
        self._mesh.GetPointData().SetNormals(normals)
        self._mesh.GetPointData().SetScalars(rgb)
        mapper, actor, inside = vtkPolyDataMapper(), vtkActor(), vtkProperty()
        mapper.SetInputData(self._mesh)
        actor.SetMapper(mapper)
        surface = actor.GetProperty()
        surface.SetInterpolationToPhong()
        for of, ambient, diffuse in ((surface, AMBIENT, 1.0), (inside, 1.0, 0.0)):
            of.SetAmbient(ambient)
            of.SetDiffuse(diffuse)
            of.SetSpecular(0.0)
        inside.SetColor(INSIDE.tolist())
        actor.SetBackfaceProperty(inside)
        self._scene.RemoveAllViewProps()
        self._scene.AddActor(actor)

    def _picture(self) -> np.ndarray:
        """[H, W, 3] uint8 of what was drawn last."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

        width, height = self._window.GetSize()
        pixels = vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, width - 1, height - 1, 0, pixels, 0)
        return vtk_to_numpy(pixels).reshape(height, width, 3)[::-1].copy()  # VTK counts rows from below

    def _nearness(self, height: int, width: int) -> np.ndarray:
        """1 / depth [height, width] of the picture just drawn, 0 on the background, from OpenGL's 0..1 depth buffer."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkFloatArray

        buffer = vtkFloatArray()
        self._window.GetZbufferData(0, 0, width - 1, height - 1, buffer)
        depth = vtk_to_numpy(buffer).reshape(height, width)[::-1]
        near, far = self._scene.GetActiveCamera().GetClippingRange()
        return np.where(depth < 1.0, (far - depth * (far - near)) / (far * near), 0.0)

    def close(self) -> None:
        self._scene.RemoveAllViewProps()
        self._window.Finalize()


@lru_cache(maxsize=1)
def vtk_problem() -> str | None:
    """Why VTK cannot draw here, as one sentence; None when it can. Asked once per process."""
    if importlib.util.find_spec("vtkmodules") is None:
        return "VTK is not installed (pip install vtk)"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], cwd=_ROOT, capture_output=True, text=True, timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"VTK did not draw a first picture within {_PROBE_SECONDS} s"
    if probe.returncode != 0 or "drawn" not in probe.stdout:
        return "VTK finds no working OpenGL (on Debian: apt-get install libegl1 libgl1)"
    return None


@lru_cache(maxsize=1)
def _warn_of_software(problem: str) -> None:
    logger.warning("%s: the built-in software rasteriser draws instead", problem)


def make_renderer(size: tuple[int, int], camera: Camera, backend: str = "auto") -> Renderer:
    """A renderer for pictures of `size` (width, height) in pixels.

    backend: "auto" takes VTK where it works and else, saying so once in the log, the software rasteriser.
    Raises UserError as `require_backend` does.
    """
    require_backend(backend)
    if backend == "software":
        return SoftwareRenderer(size, camera)
    problem = vtk_problem()
    if problem is None:
        return VtkRenderer(size, camera)
    _warn_of_software(problem)
    return SoftwareRenderer(size, camera)


def require_backend(backend: str) -> None:
    """Raises UserError for one that is unknown, and for "vtk" where it cannot draw."""
    if backend not in BACKENDS:
        raise UserError(f"unknown render backend '{backend}': choose one of {', '.join(BACKENDS)}")
    if backend == "vtk" and (problem := vtk_problem()):
        raise UserError(f"{problem}; or choose the backend 'software'")
