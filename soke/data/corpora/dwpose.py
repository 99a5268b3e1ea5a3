"""Prompt2Sign's files of 2025: 385 numbers per frame, which DWPose sees in the picture of a signer."""
from __future__ import annotations

import numpy as np
import torch

from soke.body.joints import DWPOSE_128, SKELETON_50, SKELETON_BODY
from soke.body.motion import JointMotion
from soke.body.skeleton import IMAGE
from soke.data.clip import Clip, ClipError
from soke.data.corpora.lines import LinesCorpus
from soke.data.storage.formats import MIN_FRAMES
from soke.data.storage.gaps import filled

# What stands one behind the other in a frame: points of the body, of both hands and of the face, x and y of each, after
# each kind their scores; then the counter.
_POINTS = (18, 42, 68)
_ENDS = np.cumsum([size for points in _POINTS for size in (2 * points, points)])
_WIDTH = int(_ENDS[-1]) + 1
_PERSON = len(SKELETON_BODY)  # the first joints, by which is told whether anybody is there
_FARTHEST = 2.0  # from the picture's corner, in its sizes; more are pixels


class DwposeCorpus(LinesCorpus):
    """The 128 joints of `DWPOSE_128`, two-dimensional: x and y are fractions of the picture's width and height, y
    points down, z is 0. Pictures need not be square, and positions have the unit `image`, which is no length.

    A joint counts as seen where its score is at least `least_score` and its coordinates are neither both -1 nor both 0,
    a person where the mean score of the nose, the neck and the arms is at least as high (Prompt2Sign's tools prune by
    the same mean). Frames without a person are left out at both ends. In between they, and joints that were not seen,
    are interpolated from the frames around, or held where there are none on one side. A joint that was seen in fewer
    than half of the frames that are left is no position: the motion lacks it, and who needs it skips the clip. A clip
    without a person in more than half of its frames between the first and the last with one is unusable.

    least_score: 0.3 [A]
    """

    name = "dwpose"
    language = "ASL"
    fps = 24.0
    unit = IMAGE
    width = _WIDTH
    frame = "128 points with scores and a counter"
    least_score = 0.3

    def _better_reader(self, count: int) -> str:
        joints = 3 * len(SKELETON_50) + 1
        return "" if count % joints else f"; it is one of {joints}, which READER: soke.data.corpora.skels.SkelsCorpus reads"

    def length(self, clip: Clip) -> int:
        """How many frames `load` gives. Raises ClipError as it does."""
        present = self._present(clip, self._frames(clip))
        return int(present[-1] - present[0] + 1)

    def missing_frames(self, clip: Clip) -> int:
        """How many frames between the first and the last with a person have none. Raises ClipError."""
        present = self._present(clip, self._frames(clip))
        return int(present[-1] - present[0] + 1 - len(present))

    def _motion(self, clip: Clip, frames: np.ndarray, made_by: str) -> JointMotion:
        present = self._present(clip, frames)
        points, scores = _split(frames[present[0] : present[-1] + 1])
        nowhere = (points == -1).all(axis=2) | (points == 0).all(axis=2)  # what tools write of points they do not see
        seen = (scores >= self.least_score) & ~nowhere  # [T, 128]
        seen[np.setdiff1d(np.arange(len(points)), present - present[0])] = False
        if (found := np.abs(points[seen]).max(initial=0)) > _FARTHEST:
            raise ClipError(
                f"clip {clip.name}: a coordinate of {found:g} in {clip.frames}; coordinates are fractions of the "
                "picture, 0 to 1, and these look like pixels: divide them by its width and height"
            )
        known, kept = filled(points, seen)
        positions = np.concatenate([known, np.zeros_like(known[..., :1])], axis=2)
        names = tuple(DWPOSE_128[joint] for joint in kept)
        return JointMotion(
            torch.from_numpy(positions), names, self.fps, made_by, frozenset(DWPOSE_128).difference(names)
        )

    def _present(self, clip: Clip, frames: np.ndarray) -> np.ndarray:
        """Numbers of the frames that have a person. Raises ClipError for too few."""
        _, scores = _split(frames)
        present = np.flatnonzero(scores[:, :_PERSON].clip(min=0).mean(axis=1) >= self.least_score)
        if len(present) < MIN_FRAMES:
            raise ClipError(
                f"clip {clip.name}: {len(present)} of its {len(frames)} frames in {clip.frames} have a person, at "
                f"least {MIN_FRAMES} are needed"
            )
        span = present[-1] - present[0] + 1
        if span > 2 * len(present):
            raise ClipError(
                f"clip {clip.name}: {span - len(present)} of the {span} frames from the first to the last with a "
                f"person have none in {clip.frames}; find poses in it again"
            )
        return present


def _split(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [T, 128, 2] and their scores [T, 128]."""
    pieces = np.split(frames[:, :-1], _ENDS[:-1], axis=1)
    points = np.concatenate(pieces[::2], axis=1).reshape(len(frames), -1, 2)
    return points, np.concatenate(pieces[1::2], axis=1)
