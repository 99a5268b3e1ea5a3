"""Writes corpora of joint positions in the files of Progressive Transformers and Prompt2Sign, clip by clip."""
from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np
from typing_extensions import Self

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.data.clip import Clip, ClipError
from soke.data.corpora.lines import COUNTERS
from soke.data.storage.formats import MIN_FRAMES
from soke.storage import new_file

STEMS = {"train": "train", "val": "dev", "test": "test"}  # split -> name of its files
_ALWAYS, _WHERE_THERE_ARE = ("skels", "text", "files"), ("gloss", "prompt", "made_by")


class SkelsWriter:
    """A context in which `add` appends clips to `{split}.skels`, `.text`, `.files`, and to `.gloss`, `.prompt` and
    `.made_by`, which are left out where no clip has one; val is written as dev.

    Nothing is held in memory, and all files appear when the context is left, or none. What one of the same split held
    before is replaced.

    counter: of the frames, a key of `COUNTERS`
    divisor: positions are divided by it
    """

    def __init__(self, folder: Path, split: str, counter: str = "t/T", divisor: float = 3.0):
        self.folder, self.stem, self.counter, self.divisor = Path(folder), STEMS[split], counter, divisor
        self._stack = ExitStack()
        self._files: dict[str, TextIO] = {}
        self._used: set[str] = set(_ALWAYS)

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # positions first: they take their name last, when it is known who made them
            for kind in (*_ALWAYS, *_WHERE_THERE_ARE):
                temporary = stack.enter_context(new_file(self._path(kind)))
                self._files[kind] = stack.enter_context(open(temporary, "w", encoding="utf-8", newline="\n"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is None:
            for absent in set(_WHERE_THERE_ARE) - self._used:
                self._path(absent).unlink()

    def add(self, clip: Clip, motion: JointMotion) -> None:
        """Appends a clip.

        Raises ClipError for what could not be read again: too few frames, NaN or infinity; ValueError for another
        skeleton than the 50 joints.
        """
        if len(motion) < MIN_FRAMES:
            raise ClipError(f"clip {clip.name}: {len(motion)} frames, at least {MIN_FRAMES} are needed")
        if not motion.positions.isfinite().all():
            raise ClipError(f"clip {clip.name}: its positions hold NaN or infinity")
        line = line_of(motion, self.counter, self.divisor)
        texts = {
            "text": clip.text, "files": f"{self.stem}/{clip.name}", "gloss": clip.gloss, "prompt": clip.prompt,
            "made_by": motion.made_by,
        }
        self._files["skels"].write(line)
        for kind, text in texts.items():
            self._files[kind].write(f"{text or ''}\n")
            if text:
                self._used.add(kind)

    def _path(self, kind: str) -> Path:
        return self.folder / f"{self.stem}.{kind}"


def line_of(motion: JointMotion, counter: str, divisor: float) -> str:
    """A clip's line of a .skels file, five decimals. Raises ValueError for another skeleton than the 50 joints."""
    if motion.joints != SKELETON_50:
        raise ValueError("a .skels file holds the 50 joints of SKELETON_50")
    steps = COUNTERS[counter](np.arange(len(motion)), len(motion))
    scaled = motion.positions.numpy().reshape(len(motion), -1) / divisor
    frames = np.concatenate([scaled, steps[:, None]], axis=1)
    return " ".join(f"{value:.5f}" for value in frames.ravel().tolist()) + "\n"
