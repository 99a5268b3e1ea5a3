"""Length rules: which frames (or token steps) of a clip are used."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from soke.data.clip import Clip, ClipError


def fitted_indices(length: int, shortest: int, longest: int, multiple: int = 1) -> Tensor:
    """Indices [T'] into a clip of `length` frames, `shortest` <= T' <= `longest`, T' a multiple of `multiple`.

    A clip that is too short or too long is resampled evenly, first and last frame kept; any other is cropped at both
    ends (SOKE's released data: 40, 400, 4). Raises ValueError for an empty clip or limits that are no multiples.
    """
    if length < 1:
        raise ValueError("a clip needs at least one frame")
    if not 1 <= shortest <= longest or shortest % multiple or longest % multiple:
        raise ValueError(
            f"length limits must be multiples of {multiple} with 1 <= shortest <= longest, not {shortest} and {longest}"
        )
    if shortest <= length <= longest:
        kept = length // multiple * multiple
        start = (length - kept) // 2
        return torch.arange(start, start + kept)
    count = shortest if length < shortest else longest
    # floor(linspace(0, length - 1, count)) in whole numbers, so that no rounding error shifts a frame
    return torch.arange(count) * (length - 1) // max(count - 1, 1)


def downsampled_indices(length: int, fps: float, target: float) -> Tensor:
    """Indices [int(target * length / fps)] of the frames that bring a clip from `fps` down to `target` frames/s.

    SOKE's released data (How2Sign, target 24): frame i is floor(i * length / count). Raises ValueError when fps is
    below target.
    """
    if fps < target:
        raise ValueError(f"{fps} frames/s cannot be brought down to {target}")
    count = length if fps == target else max(1, int(target * length / fps))
    return torch.arange(count) * length // count


def measured(measure: Callable[[Clip], int] | None, clip: Clip, unknown: int) -> int:
    """Frames, or token steps, by which a clip is grouped with others: `measure(clip)`.

    unknown: where there is no measure, and for a clip that will turn out to be unreadable
    """
    try:
        return unknown if measure is None else measure(clip)
    except ClipError:  # reading it will say the same, and it will be skipped
        return unknown
