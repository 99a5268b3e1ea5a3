"""Motions cut and put together, in either form."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.body.rotations import nearest_axis_angle, slerp_axis_angle


def joined(motions: Sequence[Motion | JointMotion], seconds: float) -> Motion | JointMotion:
    """Motions of one frame rate and form, one after the other.

    seconds: from the last frame of each to the first of the next; between them rotations turn evenly on the shorter way
             (slerp), all else goes in a straight line
    """
    steps = max(round(seconds * motions[0].fps), 1)
    share = torch.arange(1, steps) / steps
    values = {}
    for name, frames in frame_values(motions[0]).items():
        of_each = [frame_values(motion)[name] for motion in motions]
        start, end = (torch.stack([v[i] for v in part])[:, None] if part else frames[:0, None]
                      for i, part in ((-1, of_each[:-1]), (0, of_each[1:])))  # [M - 1, 1, ...]
        shape = [-1, *[1] * (frames.ndim - 1)]
        way = _turned(start, end, share.reshape(shape)) if name == "rotations" else start.lerp(end, share.reshape(shape))
        values[name] = torch.cat([piece for i, v in enumerate(of_each) for piece in (v, *way[i : i + 1])])
    return replace(motions[0], **values)


def frame_values(motion: Motion | JointMotion) -> dict[str, Tensor]:
    """What changes from frame to frame, by its name."""
    names = ("positions",) if isinstance(motion, JointMotion) else ("rotations", "expression", "eyelids")
    return {name: getattr(motion, name) for name in names if getattr(motion, name) is not None}


def _turned(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """[M, 1, J, 3], [M, 1, J, 3], [K, 1, 1] -> [M, K, J, 3], in the axis-angle form of the nearer end."""
    start, end = torch.broadcast_tensors(start, end)
    start, end = (r.expand(-1, len(share), -1, -1) for r in (start, end))
    return nearest_axis_angle(slerp_axis_angle(start, end, share.expand(*start.shape[:-1], 1)), start.lerp(end, share.round()))


def blended(motion: Motion | JointMotion, other: Motion | JointMotion, share: float) -> Motion | JointMotion:
    """`share` of the way from a motion to another of as many frames, or of one: rotations on the shorter way."""
    values, theirs = frame_values(motion), frame_values(other)
    made = {}
    for name, frames in values.items():
        start, end = torch.broadcast_tensors(frames, theirs[name])
        if name == "rotations":
            part = start.new_full((*start.shape[:-1], 1), share)
            made[name] = nearest_axis_angle(slerp_axis_angle(start, end, part), start.lerp(end, float(round(share))))
        else:
            made[name] = start.lerp(end, share)
    return replace(motion, **made)


def stretched(motion: Motion | JointMotion, frames: int) -> Motion | JointMotion:
    """The whole motion in so many frames of its rate."""
    return motion if len(motion) == frames else motion.at_speed(len(motion) / frames)


def with_pieces(
    motion: Motion | JointMotion, spans: Sequence[slice], pieces: Sequence[Motion | JointMotion | None], ease: int = 2
) -> Motion | JointMotion:
    """Other pieces in the place of spans of a motion, None for nothing; a piece that is the motion's own there stays.

    spans: in order
    ease:  frames of what lies between that become the way to and from a new piece
    """
    kept: list[Motion | JointMotion] = []
    start = 0
    for span, piece in zip(spans, pieces, strict=True):
        kept += [motion.frames(slice(start, max(span.start - ease, start)))]
        kept += [] if piece is None else [piece]
        start = min(span.stop + ease, len(motion))
    kept.append(motion.frames(slice(start, len(motion))))
    kept = [piece for piece in kept if len(piece)]
    return joined(kept, (ease + 1) / motion.fps) if kept else motion
