"""The active window: the frames of an isolated sign's clip between the rest before it and the rest after it.

SignRep, whose rule M3T follows (section 3.4), and M3T give no constants and no code; rule and constants are ours.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from soke.body.joints import joint_indices
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.errors import UserError
from soke.recognition.settings import Window

JOINTS = ("left_wrist", "right_wrist", "left_hip", "right_hip", "left_shoulder", "right_shoulder")
_PELVIS = joint_indices(["pelvis"])


def tracked_joints(body: Posed, motion: Motion | JointMotion) -> Tensor:
    """[T, 6, 3] `JOINTS` of an upright body: wherever a camera was, the pelvis is not turned.

    Raises UserError for positions without one of them.
    """
    if isinstance(motion, JointMotion):
        absent = [joint for joint in JOINTS if joint not in motion.joints]
        if absent:
            raise UserError(
                f"the active window needs {', '.join(absent)}, which the positions lack: set `window`=null"
            )
        return motion.positions[:, [motion.joints.index(joint) for joint in JOINTS]]
    rotations = motion.rotations.clone()
    rotations[:, _PELVIS] = 0.0
    points = body.track(replace(motion, rotations=rotations), ["body"])["body"]
    return points[:, joint_indices(JOINTS)]  # the body's points begin with SMPL-X's joints


def active_window(joints: Tensor, settings: Window) -> slice:
    """Which frames are signed: from the first to the last active run, with some before and after.

    A frame is active in which a wrist is above `height` (0 at the hips, 1 at the shoulders) and farther than
    `displacement` shoulder widths from where it rests, the median of its places in the first and the last frames.

    joints: [T, 6, 3] as of `tracked_joints`

    Returns the frames; all of them where fewer than `least` are active.
    """
    frames = len(joints)
    if not frames:
        return slice(0, 0)
    starts, ends = _runs(_filled(_active(joints.double().cpu(), settings), settings.close))
    counted = ends - starts >= settings.shortest
    starts, ends = starts[counted], ends[counted]
    if not len(starts) or (ends - starts).sum() < settings.least:
        return slice(0, frames)
    return slice(max(int(starts[0]) - settings.pad, 0), min(int(ends[-1]) + settings.pad, frames))


def _active(joints: Tensor, settings: Window) -> np.ndarray:
    """[T, 6, 3] -> [T] bool."""
    wrists, hips, shoulders = joints.unflatten(1, (3, 2)).unbind(1)  # [T, 2, 3] each
    hip, torso = hips[..., 1].mean(1), (shoulders - hips)[..., 1].mean(1)  # [T]; whichever way is up
    height = (wrists[..., 1] - hip[:, None]) / torso[:, None]  # [T, 2]
    n = settings.rest_frames
    rest = torch.from_numpy(np.median(torch.cat([wrists[:n], wrists[-n:]]), axis=0))  # [2, 3]
    width = (shoulders[:, 0] - shoulders[:, 1]).norm(dim=-1)  # [T]
    moved = (wrists - rest).norm(dim=-1) / width[:, None]
    return ((height > settings.height) & (moved > settings.displacement)).any(1).numpy()


def _filled(active: np.ndarray, most: int) -> np.ndarray:
    """[T] bool with breaks of at most `most` frames between active ones filled."""
    filled = active.copy()
    for start, end in zip(*_runs(~active)):
        if 0 < start and end < len(active) and end - start <= most:
            filled[start:end] = True
    return filled


def _runs(active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[T] bool -> where runs start, and where they end (the frame after)."""
    edges = np.diff(np.concatenate([[False], active, [False]]).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
