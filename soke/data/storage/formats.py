"""How poses are stored: one `FrameFormat` for each form, of which the corpora are handed one."""
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soke.body.joints import NUM_JOINTS
from soke.body.motion import Motion
from soke.data.clip import Clip, ClipError
from soke.data.storage.frames import FRAME_SIZE, NUM_BETAS, motion_from_frames
from soke.data.storage.loading import FrameFiles, count_frames, frame_files, maker_of, one_in, read_frames
from soke.data.storage.smplfx_clips import NUM_EXPRESSION, outline, read_clip
from soke.errors import UserError

MIN_FRAMES = 4  # stored frames; shorter clips are dropped (SOKE's released data)


@dataclass(frozen=True, eq=False)
class Stored:
    """What is stored of a clip.

    values:  [T, D] float32, the numbers of the format
    missing: frames that are left out between the first and the last
    made_by: the model that made the motion, "" for a signer
    shape:   what a format has once per clip, float32; None: nothing
    lacking: see `Motion`
    """

    values: np.ndarray
    missing: int = 0
    made_by: str = ""
    shape: np.ndarray | None = None
    lacking: frozenset[str] = frozenset()


class FrameFormat(ABC):
    """A form of stored poses.

    name:   in DATASET.FRAMES
    width:  numbers per stored frame, D
    packed: folder of a packed store in a corpus's root
    absent: what is said of a place that holds no frames
    """

    name: str
    width: int
    packed: str
    absent: str

    @abstractmethod
    def place(self, root: Path, name: str, folder: Path) -> Path:
        """Where a clip's frames are. folder: of its frame pickles as the corpus is published, or the file itself"""

    @abstractmethod
    def look(self, place: Path, enough: int) -> tuple[int, float | None] | None:
        """How many frames are there, counted no further than `enough` where that takes time, and their rate where they
        tell it; None when the place does not exist. Raises ClipError for what cannot be read."""

    @abstractmethod
    def find(self, clip: Clip) -> FrameFiles:
        """The clip's frames by name and number. Raises ClipError."""

    @abstractmethod
    def read(self, clip: Clip, found: FrameFiles) -> Stored:
        """Those frames. Raises ClipError that names the clip, the file and the cause."""

    @abstractmethod
    def motion(self, stored: Stored, fps: float) -> Motion:
        """Raises ValueError for another width than that of the format."""


class SokeFrames(FrameFormat):
    """One pickle of 179 numbers per frame, see `soke.data.storage.frames`."""

    name, width, packed = "soke", FRAME_SIZE, "packed"
    absent = "holds no frame files, which end in .pkl"

    def place(self, root: Path, name: str, folder: Path) -> Path:
        return folder

    def look(self, place: Path, enough: int) -> tuple[int, float | None] | None:
        count = count_frames(place, enough)
        return None if count is None else (count, None)

    def find(self, clip: Clip) -> FrameFiles:
        return frame_files(clip)

    def read(self, clip: Clip, found: FrameFiles) -> Stored:
        return Stored(read_frames(clip, found.names), found.missing, maker_of(clip))

    def motion(self, stored: Stored, fps: float) -> Motion:
        return motion_from_frames(stored.values, fps, stored.made_by)


class SmplfxClips(FrameFormat):
    """One .npz per clip, see `soke.data.storage.smplfx_clips`; a clip's own rate holds, whatever the annotation says."""

    name, packed = "smplfx", "packed_smplfx"
    width = 3 * NUM_JOINTS + NUM_EXPRESSION + 2
    absent = "holds no valid frames"

    def place(self, root: Path, name: str, folder: Path) -> Path:
        return folder if folder.suffix == ".npz" else root / self.name / f"{name}.npz"

    def look(self, place: Path, enough: int) -> tuple[int, float | None] | None:
        if not place.is_file():
            return None
        try:
            numbers, fps = outline(place)
        except UserError as error:
            raise ClipError(str(error)) from error
        return len(numbers), fps

    def find(self, clip: Clip) -> FrameFiles:
        try:
            numbers, _ = outline(clip.frames)
        except UserError as error:
            raise ClipError(f"clip {clip.name}: {error}") from error
        return FrameFiles([f"frame {number}" for number in numbers], numbers, [])

    def read(self, clip: Clip, found: FrameFiles) -> Stored:
        try:
            motion = read_clip(clip.frames, found.numbers)
        except UserError as error:
            raise ClipError(f"clip {clip.name}: {error}") from error
        values = torch.cat([motion.rotations.flatten(1), motion.expression, motion.eyelids], 1).numpy()
        shapes = [motion.betas, *([] if motion.head_shape is None else [motion.head_shape])]
        return Stored(values, found.missing, motion.made_by, torch.cat(shapes).numpy(), motion.lacking)

    def motion(self, stored: Stored, fps: float) -> Motion:
        if stored.values.ndim != 2 or stored.values.shape[1] != self.width:
            raise ValueError(f"frames must be [T, {self.width}], not {list(stored.values.shape)}")
        values = torch.from_numpy(np.ascontiguousarray(stored.values, dtype=np.float32))
        turned, expression, eyelids = values.split([3 * NUM_JOINTS, NUM_EXPRESSION, 2], dim=1)
        shape = torch.from_numpy(stored.shape.copy())
        return Motion(
            turned.reshape(-1, NUM_JOINTS, 3), expression.contiguous(), shape[:NUM_BETAS], fps, eyelids.contiguous(),
            stored.made_by, shape[NUM_BETAS:] if len(shape) > NUM_BETAS else None, stored.lacking,
        )


SOKE_FRAMES, SMPLFX_CLIPS = SokeFrames(), SmplfxClips()
FORMATS: dict[str, FrameFormat] = {form.name: form for form in (SOKE_FRAMES, SMPLFX_CLIPS)}


def check_complete(clip: Clip, found: FrameFiles) -> None:
    """Raises ClipError for too few frames. Frames may be missing in between, as the public poses have it, but no more
    than are there, and not every second one: what is left would be signed twice as fast."""
    if len(found) < MIN_FRAMES:
        raise ClipError(
            f"clip {clip.name}: {clip.frames} holds {len(found)} frame files, at least {MIN_FRAMES} are needed"
        )
    names, step = found.names, one_in(found.numbers)
    if step > 1:
        raise ClipError(
            f"clip {clip.name}: {clip.frames} holds one frame in {step} ({names[0]}, {names[1]}, {names[2]}, …), which at "
            f"{clip.fps:g} frames/s are {step} times as fast; put the others there, or number these one by one, if that is "
            "their rate"
        )
    if found.missing > len(found):
        raise ClipError(
            f"clip {clip.name}: {clip.frames} lacks {found.missing} of the {found.missing + len(found)} frames from "
            f"{names[0]} to {names[-1]}; copy or extract it again"
        )
