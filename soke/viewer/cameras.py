"""Where one looks at figures from: all of them from the front or from three quarters, one of them from near."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FRONT, CLOSE = np.deg2rad(24.0), np.deg2rad(16.0)  # vertical angles of view
_OWN = np.deg2rad(75.0)  # of the signer's own view, which has to show both hands near the face
_AIR = 1.08  # around what must be in the picture
_ASIDE = np.deg2rad(38.0)  # how far three quarters is from the front, to the signer's left
_BEFORE = 0.35  # of the head's height: how far the signer's own view is before the middle of the head


@dataclass(frozen=True)
class Box:
    """Corners [3] of what must be in a picture, metres, y up, the signer facing +z."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> Box:
        """Around points [..., 3]."""
        points = points.reshape(-1, 3)
        return cls(points.min(0), points.max(0))

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @property
    def size(self) -> np.ndarray:
        return self.high - self.low

    def moved(self, by: np.ndarray) -> Box:
        return Box(self.low + by, self.high + by)

    def joined(self, other: Box) -> Box:
        return Box(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


@dataclass(frozen=True)
class Seen:
    """What there is to be seen of a figure: from the hips upwards, its head, and the space of its hands."""

    body: Box
    head: Box
    hands: Box

    def moved(self, by: np.ndarray) -> Seen:
        return Seen(self.body.moved(by), self.head.moved(by), self.hands.moved(by))


@dataclass(frozen=True)
class Camera:
    """position, look_at: [3] metres; fov: vertical angle of view, radians"""

    position: np.ndarray
    look_at: np.ndarray
    fov: float


def _towards(box: Box, aspect: float, fov: float, aside: float = 0.0) -> Camera:
    """From so far that all of the box is in the picture, and from so far aside, radians."""
    width, height, depth = box.size
    across = abs(np.cos(aside)) * width + abs(np.sin(aside)) * depth
    near = abs(np.cos(aside)) * depth + abs(np.sin(aside)) * width
    half = np.tan(0.5 * fov)
    far = _AIR * 0.5 * max(height / half, across / (half * aspect)) + 0.5 * near
    direction = np.array([np.sin(aside), 0.0, np.cos(aside)])
    return Camera(box.middle + far * direction, box.middle, float(fov))


def above(camera: Camera, covered: float) -> Camera:
    """One whose picture has in its upper part all that the other's has; covered: share of the picture below that"""
    away = (camera.position - camera.look_at) / (1 - covered)
    down = np.array([0.0, np.linalg.norm(away) * np.tan(0.5 * camera.fov) * covered, 0.0])
    return Camera(camera.look_at + away - down, camera.look_at - down, camera.fov)


def _own(seen: Seen, aspect: float) -> Camera:
    """What the signer sees of her own hands, which are before her chest."""
    eyes = seen.head.middle + np.array([0.0, 0.0, _BEFORE * seen.head.size[1]])
    target = np.array([seen.body.middle[0], seen.hands.middle[1], max(seen.hands.high[2], eyes[2] + 0.1)])
    return Camera(eyes, target, float(_OWN))


OWN = "signer's view"  # from where the signer's head is, and nowhere else

# Name -> (what there is to be seen of all figures, which of them is looked at from near, width / height) -> camera.
CAMERAS: Mapping[str, Callable[[Sequence[Seen], int, float], Camera]] = {
    "front": lambda seen, focus, aspect: _towards(_all(seen), aspect, FRONT),
    "three quarters": lambda seen, focus, aspect: _towards(_all(seen), aspect, FRONT, _ASIDE),
    OWN: lambda seen, focus, aspect: _own(seen[focus], aspect),
    "hands": lambda seen, focus, aspect: _towards(seen[focus].hands, aspect, CLOSE),
    "face": lambda seen, focus, aspect: _towards(seen[focus].head, aspect, CLOSE),
}


def _all(seen: Sequence[Seen]) -> Box:
    box = seen[0].body
    for other in seen[1:]:
        box = box.joined(other.body)
    return box


def places(sizes: Sequence[np.ndarray], aspect: float) -> np.ndarray:
    """Where figures stand, [N, 3]: in as many rows as let them be seen largest, the first at the left of the first row.

    sizes:  [3] of each; aspect: width / height of the picture
    """
    width, height = (max(float(size[axis]) for size in sizes) for axis in (0, 1))
    count = len(sizes)
    columns = min(range(1, count + 1), key=lambda n: (max(-(-count // n) * height, n * width / aspect), n))
    found = np.zeros((count, 3))
    for i in range(count):
        row, column = divmod(i, columns)
        in_row = min(columns, count - row * columns)
        found[i, :2] = (column - 0.5 * (in_row - 1)) * width, -row * height
    return found
