"""Chunks of equally many frames of joints: what distances between sets of motions are taken over."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from soke.metrics.joint_sets import JointSet, Track


def joints_of(track: Track, joints: Mapping[str, JointSet], fps: float) -> Tensor:
    """[T', J, 3] float32 the scored joints of all point sets, each relative to its set's root (pelvis, neck, wrist), in
    the track's unit, at `fps`, in between linearly; frame i shows the moment i / fps, and the last one holds to the end.
    """
    relative = []
    for name, of_set in joints.items():
        points = torch.as_tensor(track.points[name])
        relative.append(points[:, list(of_set.scored)] - points[:, :1])
    values = torch.cat(relative, dim=1).float()
    if abs(track.fps - fps) < 1e-9 or not len(values):
        return values
    count = frames_at(len(values), track.fps, fps)
    moments = torch.arange(count, dtype=torch.float64, device=values.device) * track.fps / fps
    moments = moments.clamp_max(len(values) - 1)
    before, after = moments.floor().long(), moments.ceil().long()
    return values[before].lerp(values[after], (moments - before)[:, None, None].float())


def frames_at(frames: int, fps: float, target: float) -> int:
    """How many frames at another rate come nearest to the duration of so many."""
    return max(round(frames * target / fps), min(frames, 1))


def count_of(frames: int, chunk: int) -> int:
    """How many chunks `chunks_of` makes of so many frames."""
    return -(-frames // chunk) if frames >= chunk else 0


def chunks_of(frames: Tensor, chunk: int) -> Tensor:
    """[T, ...] -> [N, chunk, ...]: as few chunks as hold every frame, evenly spaced, so that neighbours may share some;
    none of fewer frames than a chunk."""
    starts = torch.linspace(0, max(len(frames) - chunk, 0), count_of(len(frames), chunk), dtype=torch.float64).round().long()
    return frames[(starts[:, None] + torch.arange(chunk)).to(frames.device)]
