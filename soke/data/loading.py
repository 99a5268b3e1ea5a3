"""A clip's folder of frame pickles -> its frames. The hot path of training on unpacked data."""
from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soke.data.clip import Clip, ClipError
from soke.data.frames import FRAME_KEYS, FRAME_SIZE
from soke.data.pickles import load_pickle
from soke.errors import UserError

_SUFFIX = ".pkl"
_SIZES = list(FRAME_KEYS.values())
_COLUMN_KEYS = [key for key, size in FRAME_KEYS.items() for _ in range(size)]


def _is_frame(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def count_frames(folder: Path, enough: int) -> int | None:
    """Number of frame files in `folder`, counted no further than `enough`; None when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sum(1 for _ in itertools.islice((e for e in entries if _is_frame(e.name)), enough))
    except (FileNotFoundError, NotADirectoryError):
        return None


def frame_files(clip: Clip) -> list[str]:
    """Names of the clip's frame files in order of time. Raises ClipError when the folder cannot be listed.

    Shorter names come first, then the alphabet decides: the order of the frame numbers, zero-padded or not, as long as
    the names differ in nothing else.
    """
    try:
        names = os.listdir(clip.frames)
    except OSError as error:
        raise ClipError(f"clip {clip.name}: {clip.frames} cannot be listed: {error.strerror}") from error
    return sorted((name for name in names if _is_frame(name)), key=lambda name: (len(name), name))


def frame_numbers(files: Sequence[str]) -> list[int] | None:
    """The numbers of a clip's frame files: what differs between their names; None when that is no number."""
    if len(files) < 2:
        return None
    prefix = os.path.commonprefix(files).rstrip("0123456789")
    suffix = os.path.commonprefix([name[::-1] for name in files])[::-1].lstrip("0123456789")
    numbers = [name[len(prefix) : len(name) - len(suffix)] for name in files]
    return [int(number) for number in numbers] if all(number.isdecimal() for number in numbers) else None


def missing_frames(files: Sequence[str]) -> int:
    """How many numbers are left out between those of the first and the last of the clip's `files`."""
    numbers = frame_numbers(files)
    return 0 if numbers is None else numbers[-1] - numbers[0] + 1 - len(files)


def read_frames(clip: Clip, files: Sequence[str]) -> np.ndarray:
    """The numbers [T, 179] float32 in the frame files `files` of the clip's folder.

    Raises ClipError that names the clip, the frame file and, where one is at fault, the key: a file that cannot be
    read, a missing key, a vector of the wrong length, a NaN or infinite value.
    """
    folder = f"{clip.frames}{os.sep}"
    frames = np.empty((len(files), FRAME_SIZE), dtype=np.float32)
    for row, name in zip(frames, files):
        try:
            _fill(row, load_pickle(folder + name))
        except UserError as error:  # load_pickle has named the file
            raise ClipError(f"clip {clip.name}: {error}") from error
        except ValueError as error:
            raise ClipError(f"clip {clip.name}: {folder}{name} {error}") from error
    finite = np.isfinite(frames)
    if not finite.all():
        frame, column = np.argwhere(~finite)[0]
        raise ClipError(
            f"clip {clip.name}: {folder}{files[frame]} holds {frames[frame, column]} in {_COLUMN_KEYS[column]}"
        )
    return frames


def _fill(row: np.ndarray, frame: object) -> None:
    """Write the 179 numbers of one frame's dict into `row`. Raises ValueError whose text follows the file's name."""
    try:
        parts = [frame[key] for key in FRAME_KEYS]
        if [len(part) for part in parts] == _SIZES:
            np.concatenate(parts, out=row, casting="same_kind")
            return
    except (TypeError, KeyError, ValueError):
        pass  # explained below, so that good frames do not pay for it
    raise ValueError(_fault(frame))


def _fault(frame: object) -> str:
    if not isinstance(frame, dict):
        return f"holds a {type(frame).__name__}, not the dict of a frame"
    missing = [key for key in FRAME_KEYS if key not in frame]
    if missing:
        return f"lacks {', '.join(missing)}"
    for key, size in FRAME_KEYS.items():
        if np.shape(frame[key]) != (size,):
            return f"holds {key} of shape {list(np.shape(frame[key]))}, expected [{size}]"
    return "holds something other than numbers"
