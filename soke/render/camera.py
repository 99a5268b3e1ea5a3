"""A fixed pinhole camera before the signer."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FOV = np.deg2rad(24.0)  # vertical angle of view: little distortion of hands that come forward
_HIPS = 0.53  # height of the lower edge of the picture, as a share of the body's height
_SIGNING_HALF_WIDTH = 0.24  # always in the picture: elbows held out, as a share of the body's height
_HEADROOM = 0.02  # above the head, likewise
_MARGIN = 1.05  # air around whatever must be in the picture
_REACH = 0.55  # a vertex farther from the body's axis than an arm's reach (share of height) does not widen the picture
_WHOLE_REACH = 1.5  # of a figure that is shown whole, likewise, as a share of its size
_CLOSE_UP_FOV = np.deg2rad(12.0)  # from farther away, as portraits are taken: the nose is no larger than it is


@dataclass(frozen=True)
class Camera:
    """Looks along -z with y up: the subject's left hand (+x) is at the right of the image."""

    position: tuple[float, float, float]  # metres
    fov: float = float(_FOV)  # vertical angle of view, radians

    def focal(self, height: int) -> float:
        """Focal length in pixels for an image of that height."""
        return 0.5 * height / np.tan(0.5 * self.fov)


def camera_of(clips: list[np.ndarray], whole: bool, aspect: float = 1.0) -> Camera:
    """One camera for all clips, vertices [T, V, 3] in metres: `whole_camera` or `upper_body_camera`."""
    return (whole_camera if whole else upper_body_camera)(clips, aspect)


def close_up_camera(clips: list[np.ndarray], aspect: float = 1.0) -> Camera:
    """As `whole_camera`, for close-ups: clips hold the vertices of a head, or of a hand, which turns in one place."""
    return whole_camera(clips, aspect, float(_CLOSE_UP_FOV))


def whole_camera(clips: list[np.ndarray], aspect: float = 1.0, fov: float = float(_FOV)) -> Camera:
    """One camera that shows all of every clip, but for vertices that are errors of the motion.

    clips: vertices [T, V, 3] in metres, which share one place; aspect: width / height; fov: as of `Camera`.
    """
    points = np.concatenate([clip.reshape(-1, 3) for clip in clips])
    sizes = np.concatenate([np.ptp(clip, axis=1).max(axis=1) for clip in clips])  # of every frame
    size = max(float(np.median(sizes)), 1e-3)
    near = points[(np.abs(points - np.median(points, axis=0)) < _WHOLE_REACH * size).all(axis=1)]
    center = 0.5 * (near.min(axis=0) + near.max(axis=0))
    half = np.tan(0.5 * fov) / _MARGIN * np.array([aspect, 1.0])
    x, y, z = center + [0.0, 0.0, (np.abs((near - center)[:, :2]) / half + (near - center)[:, 2:]).max() + 1e-3]
    return Camera((float(x), float(y), float(z)), fov)


def upper_body_camera(clips: list[np.ndarray], aspect: float = 1.0) -> Camera:
    """One camera that shows every clip from the hips to above the head, with elbows and raised hands.

    clips: vertices [T, V, 3] in metres of standing bodies with legs, which share one place; aspect: width / height.
    """
    top = max(float(np.min(clip[..., 1].max(axis=1))) for clip in clips)  # the least raised hands: the head
    floor = min(float(np.median(clip[..., 1].min(axis=1))) for clip in clips)
    height = top - floor
    hips = floor + _HIPS * height
    center = np.median(np.concatenate([np.median(clip, axis=1) for clip in clips]), axis=0)  # [3], the body's axis
    half = np.tan(0.5 * _FOV) / _MARGIN
    # how far off the camera must be for a point = its height along one of these, up to a constant
    right, up = np.array([1.0 / (half * aspect), 0.0, 1.0]), np.array([0.0, 1.0 / half, 1.0])
    extremes = np.stack([right, right * [-1.0, 0.0, 1.0], up, [0.0, 1.0, 0.0]], axis=1)  # [3, 4]

    # what must be seen whatever the clip does: the signing space of a resting body
    corner = center + height * np.array([_SIGNING_HALF_WIDTH, 0.0, 0.0])
    corner[1] = top + _HEADROOM * height
    seen = [corner[None]]
    for frame in (frame for clip in clips for frame in clip):
        # and all above the hips within reach: a vertex beyond that is an error of the motion
        near = frame[(frame[:, 1] > hips) & (np.abs(frame - center).max(axis=1) < _REACH * height)]
        if len(near):
            seen.append(near[(near @ extremes).argmax(axis=0)])
    points = np.concatenate(seen) - center
    middle = 0.5 * (hips - center[1] + points[:, 1].max())
    sideways = (np.abs(points[:, 0]) / (half * aspect) + points[:, 2]).max()
    upwards = ((points[:, 1] - middle) / half + points[:, 2]).max()
    x, y, z = center + [0.0, middle, max(sideways, upwards)]
    return Camera((float(x), float(y), float(z)))
