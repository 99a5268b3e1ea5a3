"""A clip's folder of frame pickles -> its frames. The hot path of training on unpacked data."""
from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soke.data.clip import Clip, ClipError
from soke.data.storage.frames import FRAME_KEYS, FRAME_SIZE, MADE_BY
from soke.errors import UserError
from soke.pickles import TorchValue, load_pickle

_SUFFIX = ".pkl"
_SIZES = list(FRAME_KEYS.values())
_COLUMN_KEYS = [key for key, size in FRAME_KEYS.items() for _ in range(size)]
_TO_NUMPY = "write it anew with numpy arrays (tensor.numpy())"


def _is_frame(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def count_frames(folder: Path, enough: int) -> int | None:
    """Number of frame files in `folder`, counted no further than `enough`; None when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sum(1 for _ in itertools.islice((e for e in entries if _is_frame(e.name)), enough))
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True)
class FrameFiles:
    """The frame files of a clip: those whose names differ in one number alone, and what else lies beside them.

    names:   in order of time
    numbers: of `names`, ascending, each once
    strays:  names that do not follow the pattern: copies, previews, what was put aside; they are no frames
    """

    names: list[str]
    numbers: Sequence[int]
    strays: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def missing(self) -> int:
        """How many numbers are left out between the first and the last."""
        return self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers) if self.numbers else 0


def frame_files(clip: Clip) -> FrameFiles:
    """The frame files of a clip's folder.

    Raises ClipError that names them: the folder cannot be listed, the names have no number in common that counts the
    frames, two sets of files lie in one folder, or two files have one number.
    """
    try:
        names = sorted(filter(_is_frame, os.listdir(clip.frames)))
    except OSError as error:
        raise ClipError(f"clip {clip.name}: {clip.frames} cannot be listed: {error.strerror}") from error
    try:
        return sorted_frames(names)
    except ValueError as error:
        raise ClipError(f"clip {clip.name}: {clip.frames} {error}") from None


def sorted_frames(names: Sequence[str]) -> FrameFiles:
    """As `frame_files`, from the names. Raises ValueError whose text follows the folder's name."""
    if not names:
        return FrameFiles([], [], [])
    prefix = os.path.commonprefix(names).rstrip("0123456789")
    suffix = os.path.commonprefix([name[::-1] for name in names])[::-1].lstrip("0123456789")
    middles = [name[len(prefix) : len(name) - len(suffix)] for name in names]
    if len(names) > 1 and all(map(_is_number, middles)):  # nearly always: no name is a stray
        pairs, strays = sorted(zip(map(int, middles), names)), []
    else:
        pairs, strays = _most_alike(names)
    for (number, name), (following, other) in zip(pairs, pairs[1:]):
        if number == following:
            raise ValueError(f"holds {name} and {other}, two files of frame {number}; remove one of them")
    return FrameFiles([name for _, name in pairs], [number for number, _ in pairs], strays)


def one_in(numbers: Sequence[int]) -> int:
    """N where the numbers of frames, ascending and three at least, are every N-th alone; 1 where they are not."""
    step = numbers[1] - numbers[0] if len(numbers) > 2 else 1
    return step if all(after - before == step for before, after in zip(numbers, numbers[1:])) else 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _most_alike(names: Sequence[str]) -> tuple[list[tuple[int, str]], list[str]]:
    """(number, name) of the names that follow the most frequent pattern, in order, and the other names.

    Raises ValueError when no number counts them, or so many do not follow it that they may be what is meant.
    """
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}  # what stands before and after a number -> number, name
    for name in names:
        for digits in re.finditer("[0-9]+", name):
            key = name[: digits.start()], name[digits.end() :]
            found.setdefault(key, []).append((int(digits[0]), name))
    pairs = sorted(max(found.values(), key=len, default=[]))
    followers = {name for _, name in pairs}
    strays = [name for name in names if name not in followers]
    if not pairs or (len(pairs) == 1 and strays):
        raise ValueError(
            f"holds frame files that no number counts: {_named(names)}; name them 000000.pkl, 000001.pkl, …"
        )
    if 2 * len(strays) > len(pairs):
        raise ValueError(
            f"holds files of more than one pattern: {_named([n for _, n in pairs])} and {_named(strays)}; keep one set"
        )
    return pairs, strays


def _named(names: Sequence[str]) -> str:
    """At most three names, and how many there are."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]}, … ({len(names)} files)"


def read_frames(clip: Clip, files: Sequence[str]) -> np.ndarray:
    """The numbers [T, 179] float32 in the frame files `files` of the clip's folder.

    Raises ClipError that names the clip, the frame file and, where one is at fault, the key: a file that cannot be
    read, a missing key, a vector of the wrong length, a NaN or infinite value.
    """
    folder = f"{clip.frames}{os.sep}"
    frames = np.empty((len(files), FRAME_SIZE), dtype=np.float32)
    for row, name in zip(frames, files):
        try:
            _fill(row, load_pickle(folder + name, tensor=TorchValue))
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


def maker_of(clip: Clip) -> str:
    """The model that made the clip's motion, as its first frame says; "" for a signer, and where there are no frames.

    Raises ClipError as `read_frames` does.
    """
    try:
        files = frame_files(clip)
    except ClipError:
        return ""
    if not files.names:
        return ""
    try:
        frame = load_pickle(f"{clip.frames}{os.sep}{files.names[0]}")
    except UserError as error:
        raise ClipError(f"clip {clip.name}: {error}") from error
    return str(frame.get(MADE_BY, "")) if isinstance(frame, dict) else ""


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
    if isinstance(frame, TorchValue):
        return f"holds a torch tensor, not the dict of a frame; {_TO_NUMPY}"
    if not isinstance(frame, dict):
        return f"holds a {type(frame).__name__}, not the dict of a frame"
    missing = [key for key in FRAME_KEYS if key not in frame]
    if missing:
        return f"lacks {', '.join(missing)}"
    tensors = [key for key in FRAME_KEYS if isinstance(frame[key], TorchValue)]
    if tensors:
        return f"holds torch tensors in {', '.join(tensors)}; {_TO_NUMPY}"
    for key, size in FRAME_KEYS.items():
        if np.shape(frame[key]) != (size,):
            return f"holds {key} of shape {list(np.shape(frame[key]))}, expected [{size}]"
    return "holds something other than numbers"
