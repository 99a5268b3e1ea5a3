"""Light, and a z-buffer in numba which draws a mesh where no OpenGL is to be had.

The light is common to both renderers, so that they draw the same picture. One file, because numba's cache on disk only
notices changes in the file of the function itself, not in what it imports.
"""
from __future__ import annotations

import numpy as np
from numba import njit

# Towards each light, and its strength. The key comes from above the viewer's left, so that fingers have a light and a
# dark side; the fill from the right keeps the far side readable; the last one outlines shoulders and forearms.
LIGHT_DIRECTIONS = np.array([[-0.45, 0.75, 0.80], [0.85, 0.10, 0.55], [0.30, 0.80, -0.60]], dtype=np.float32)
LIGHT_DIRECTIONS /= np.linalg.norm(LIGHT_DIRECTIONS, axis=1, keepdims=True)
LIGHT_STRENGTHS = np.array([0.72, 0.25, 0.20], dtype=np.float32)
AMBIENT = 0.28
INSIDE = np.array([0.17, 0.07, 0.07], dtype=np.float32)  # the back of a surface, seen through an open mouth
INK = 0.45  # brightness left at an outline
STEP = 0.010  # metres; what lies that much behind its neighbour in the image has an outline: a finger before the palm
BACKGROUND = np.array([0.93, 0.94, 0.95], dtype=np.float32)
_NEAR = 0.02  # metres before the camera; a triangle with a corner nearer than that is not drawn
EMPTY = -1  # face index where nothing was hit


@njit(cache=True)
def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3] float32: mean of the adjacent faces' normals, weighted by area; zero without a face."""
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
        bx, by, bz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            normals[v] /= length
    return normals


@njit(cache=True)
def project(vertices: np.ndarray, eye: np.ndarray, focal: float, width: int, height: int) -> np.ndarray:
    """Image x, y (pixels, y down) and 1 / depth of every vertex [V, 3]; 1 / depth is 0 behind the near plane."""
    out = np.zeros((vertices.shape[0], 3), dtype=np.float64)
    for v in range(vertices.shape[0]):
        depth = eye[2] - vertices[v, 2]
        if depth > _NEAR:
            out[v, 0] = 0.5 * width + focal * (vertices[v, 0] - eye[0]) / depth
            out[v, 1] = 0.5 * height - focal * (vertices[v, 1] - eye[1]) / depth
            out[v, 2] = 1.0 / depth
    return out


@njit(cache=True)
def rasterize(points: np.ndarray, faces: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face under each pixel centre.

    points: [V, 3] from `project`. Returns the face index [height, width] int32 (`EMPTY` where none) and 1 / depth
    there, float32. 1 / depth is linear in the image, so plain interpolation gives exact occlusion under perspective.
    """
    index = np.full((height, width), EMPTY, dtype=np.int32)
    nearness = np.zeros((height, width), dtype=np.float32)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, n0 = points[i, 0], points[i, 1], points[i, 2]
        x1, y1, n1 = points[j, 0], points[j, 1], points[j, 2]
        x2, y2, n2 = points[k, 0], points[k, 1], points[k, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if min(n0, n1, n2) <= 0.0 or area == 0.0:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                w2 = 1.0 - w0 - w1
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                n = w0 * n0 + w1 * n1 + w2 * n2
                if n > nearness[row, column]:
                    nearness[row, column] = n
                    index[row, column] = f
    return index, nearness


@njit(cache=True)
def ink(nearness: np.ndarray, row: int, column: int, reach: int) -> float:
    """Brightness of a pixel: `INK` where the surface goes on, but behind something nearer by more than `STEP`; else 1.

    nearness: [H, W], 1 / depth in 1/m, 0 on the background; reach: distance in pixels of the neighbours looked at.
    Skin before skin (fingers, a hand before the face) differs too little in light to be told apart without this line.
    """
    here = nearness[row, column]
    nearer = here / (1.0 - STEP * here)
    farther = here / (1.0 + STEP * here)
    for down, right in ((reach, 0), (-reach, 0), (0, reach), (0, -reach)):
        y, x, opposite_y, opposite_x = row + down, column + right, row - down, column - right
        if min(y, x, opposite_y, opposite_x) < 0:
            continue
        if max(y, opposite_y) >= nearness.shape[0] or max(x, opposite_x) >= nearness.shape[1]:
            continue
        # a steep surface also has a nearer neighbour, but falls away on the other side
        if nearness[y, x] > nearer and nearness[opposite_y, opposite_x] > farther:
            return INK
    return 1.0


@njit(cache=True)
def shade(
    index: np.ndarray,
    nearness: np.ndarray,
    points: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray,
    colors: np.ndarray,
    samples: int,
) -> np.ndarray:
    """Light what `rasterize` found and average samples x samples pixels into one: [height, width, 3] uint8.

    Colour and normal are interpolated with perspective; Lambert's law for each light, a dark line where
    something nearer begins. Faces turned away get `INSIDE`.
    """
    height, width = index.shape[0] // samples, index.shape[1] // samples
    image = np.empty((height, width, 3), dtype=np.uint8)
    share = 255.0 / (samples * samples)
    for row in range(height):
        for column in range(width):
            red = green = blue = 0.0
            for sub in range(samples * samples):
                y, x = row * samples + sub // samples, column * samples + sub % samples
                f = index[y, x]
                if f == EMPTY:
                    red, green, blue = red + BACKGROUND[0], green + BACKGROUND[1], blue + BACKGROUND[2]
                    continue
                i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
                ax, ay = points[i, 0] - (x + 0.5), points[i, 1] - (y + 0.5)
                bx, by = points[j, 0] - (x + 0.5), points[j, 1] - (y + 0.5)
                cx, cy = points[k, 0] - (x + 0.5), points[k, 1] - (y + 0.5)
                wi, wj, wk = bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay
                if wi + wj + wk > 0.0:  # clockwise in an image whose y points down
                    red, green, blue = red + INSIDE[0], green + INSIDE[1], blue + INSIDE[2]
                    continue
                wi, wj, wk = wi * points[i, 2], wj * points[j, 2], wk * points[k, 2]
                total = wi + wj + wk
                wi, wj, wk = wi / total, wj / total, wk / total
                nx = wi * normals[i, 0] + wj * normals[j, 0] + wk * normals[k, 0]
                ny = wi * normals[i, 1] + wj * normals[j, 1] + wk * normals[k, 1]
                nz = wi * normals[i, 2] + wj * normals[j, 2] + wk * normals[k, 2]
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
                light = AMBIENT
                for lamp in range(LIGHT_STRENGTHS.shape[0]):
                    direction = LIGHT_DIRECTIONS[lamp]
                    cosine = (nx * direction[0] + ny * direction[1] + nz * direction[2]) / length
                    light += LIGHT_STRENGTHS[lamp] * max(cosine, 0.0)
                line = ink(nearness, y, x, samples)
                red += line * min(1.0, light * (wi * colors[i, 0] + wj * colors[j, 0] + wk * colors[k, 0]))
                green += line * min(1.0, light * (wi * colors[i, 1] + wj * colors[j, 1] + wk * colors[k, 1]))
                blue += line * min(1.0, light * (wi * colors[i, 2] + wj * colors[j, 2] + wk * colors[k, 2]))
            image[row, column, 0] = np.uint8(red * share + 0.5)
            image[row, column, 1] = np.uint8(green * share + 0.5)
            image[row, column, 2] = np.uint8(blue * share + 0.5)
    return image


@njit(cache=True)
def draw_outlines(image: np.ndarray, nearness: np.ndarray) -> None:
    """Apply `ink` to a finished picture [H, W, 3] uint8, in place, the background left alone."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if nearness[row, column] > 0:
                brightness = ink(nearness, row, column, 1)
                for channel in range(3):
                    image[row, column, channel] = np.uint8(image[row, column, channel] * brightness)
