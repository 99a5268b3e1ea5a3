"""EHM-Tracker (GUAVA): body and hands in SMPL-X, the face in FLAME, of whole videos.

    optim_tracking_ehm.pkl   {video: {frame: {smplx_coeffs: {…}, flame_coeffs: {…}, …}}}
    id_share_params.pkl      smplx_shape, flame_shape, and what this body does not have: joints_offset, head and hand scale
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soke.body.joints import BODY, LEFT_HAND, RIGHT_HAND
from soke.body.motion import Motion
from soke.data.clip import ClipError
from soke.data.foreign.assembling import EYES, Rules, assembled, gaps_of, named, taken
from soke.errors import UserError
from soke.pickles import TorchValue, load_pickle

_FILE, _SHARED = "optim_tracking_ehm.pkl", "id_share_params.pkl"
_POSES = {"global_pose": BODY[:1], "body_pose": BODY[1:], "left_hand_pose": LEFT_HAND, "right_hand_pose": RIGHT_HAND}


class EhmTracker:
    """The videos of one folder of its output. Raises UserError when its files cannot be read or hold something else."""

    def __init__(self, path: Path, rules: Rules):
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        self.videos = load_pickle(path / _FILE, tensor=TorchValue)
        if not isinstance(self.videos, dict) or not all(isinstance(v, dict) for v in self.videos.values()):
            raise UserError(f"{path / _FILE} does not hold videos of frames: it is no output of EHM-Tracker")
        shared = load_pickle(path / _SHARED, tensor=TorchValue) if (path / _SHARED).is_file() else {}
        self._shapes = {k: v for k, v in shared.items() if isinstance(v, np.ndarray)} if isinstance(shared, dict) else {}

    @property
    def names(self) -> list[str]:
        return list(map(str, self.videos))

    def read(self, name: str) -> Motion:
        where = named(name, self.path / _FILE)
        keys = sorted(self._frames(name), key=_number)
        if not keys:
            raise ClipError(f"{where} has no frames")
        self.gaps[name] = gaps_of(where, [_number(key)[0] for key in keys])
        frames = [self._frames(name)[key] for key in keys]
        poses = {joints: _column(frames, "smplx_coeffs", key, 3 * len(joints), where) for key, joints in _POSES.items()}
        poses[("jaw",)] = _column(frames, "flame_coeffs", "jaw_params", 3, where)
        poses[EYES] = _column(frames, "flame_coeffs", "eye_pose_params", 6, where)
        expression = _column(frames, "flame_coeffs", "expression_params", 50, where)
        eyelids = _column(frames, "flame_coeffs", "eyelid_params", 2, where)
        joints = {names: values.unflatten(1, (-1, 3)) for names, values in poses.items()}
        shapes = {"betas": self._shapes.get("smplx_shape"), "head_shape": self._shapes.get("flame_shape")}
        flat = {key: None if value is None else value.ravel() for key, value in shapes.items()}
        return assembled(where, joints, expression, eyelids, self.rules, **flat)

    def _frames(self, name: str) -> Mapping[Any, Any]:
        return next(frames for video, frames in self.videos.items() if str(video) == name)


def _number(frame: Any) -> tuple[int, str]:
    digits = re.findall("[0-9]+", str(frame))
    return (int(digits[-1]) if digits else 0, str(frame))


def _column(frames: list[Any], group: str, key: str, width: int, where: str) -> Tensor:
    """[T, width] of a key of every frame."""
    found = []
    for frame in frames:
        content = frame.get(group) if isinstance(frame, Mapping) else None
        if not isinstance(content, Mapping):
            raise ClipError(f"{where} has a frame without {group}")
        value = content.get(key)
        one = {**content, key: value.reshape(1, -1)} if isinstance(value, np.ndarray) else content
        found.append(taken(one, key, width, where))
    return torch.cat(found)
