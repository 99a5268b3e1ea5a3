"""Corpora in text files of which line i is clip i: Progressive Transformers (Saunders et al. 2020) and Prompt2Sign."""
from __future__ import annotations

from abc import abstractmethod
from codecs import BOM_UTF8
from dataclasses import replace
from pathlib import Path

import numpy as np

from soke.body.motion import JointMotion
from soke.body.skeleton import UNKNOWN_UNIT, Up
from soke.data.clip import Clip, ClipError, SkippedClip, one_code
from soke.data.corpora.listed import ListedCorpus
from soke.data.corpora.listing import MAX_FPS, MIN_FPS, MIN_FRAMES, fault_of_words
from soke.data.fingerprints import Fingerprint, Watch, digest
from soke.errors import UserError
from soke.storage import UTF_16_MARKS, not_utf8, read_text

# Counter of frame t of T, by who writes it.
COUNTERS = {
    "t/T": lambda t, total: t / total,  # Progressive Transformers
    "(t+1)/T": lambda t, total: (t + 1) / total,  # Prompt2Sign 2024
    "t/(T-1)": lambda t, total: t / max(total - 1, 1),  # Prompt2Sign 2025
}
_COUNTER_TOLERANCE = 1e-4
_PREFIXES = ("train/", "dev/", "test/")
_OPTIONAL = ("gloss", "prompt", "made_by")


class LinesCorpus(ListedCorpus):
    """`{split}.skels`, `.text`, `.files`, and `.gloss` and `.prompt` where there is one; val is dev or val.

    A line of .skels holds the numbers of all frames, the last of each being the counter, in any of its three
    conventions. An empty line is a missing clip. `{split}.made_by`, which the format does not know, names the model
    that made each motion, an empty line is a signer's; where there is none, all are.

    name, language, locale, fps: of the corpus, see `Corpus`; None: those of the class

    Raises UserError when the folder does not exist, and for a frame rate that no recording has.
    """

    name: str
    language: str
    fps: float
    unit: str = UNKNOWN_UNIT
    up: Up = "-y"
    counted = True  # whether frames end with a counter

    def __init__(
        self, root: Path | str, name: str | None = None, language: str | None = None, locale: str | None = None,
        fps: float | None = None,
    ):
        self.name, self.fps = name or self.name, fps or self.fps
        if locale:
            self.locale = locale
        self.language = one_code(self.name, language or self.language, getattr(self, "locale", None))
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise UserError(
                f"corpus {self.name}: its frame rate of {self.fps:g} is none of a recording ({MIN_FPS:g} to {MAX_FPS:g} "
                "frames/s); set `fps` to its own"
            )
        super().__init__(root, ".skels")
        # split, name -> first byte and length of its line, and who made it
        self._lines: dict[tuple[str, str], tuple[int, int, str]] = {}

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers per frame."""

    @property
    @abstractmethod
    def frame(self) -> str:
        """What they are."""

    @abstractmethod
    def _motion(self, clip: Clip, frames: np.ndarray, made_by: str) -> JointMotion:
        """The motion of frames [T, width] float32. Raises ClipError."""

    def load(self, clip: Clip) -> JointMotion:
        """Raises ClipError for numbers that make no whole frames, a NaN, or a counter of none of the conventions."""
        return self._motion(clip, self._frames(clip), self._lines[clip.split, clip.name][2])

    def length(self, clip: Clip) -> int:
        """How many frames `load` gives."""
        return len(self._numbers(clip)) // self.width

    def fingerprint(self, clip: Clip, watch: Watch) -> Fingerprint | None:
        """Of the file of positions, and of which line of it `.files` says to be the clip's."""
        self._list(clip.split)
        whole, line = watch.look(clip.frames), self._lines[clip.split, clip.name][:2]
        return whole and replace(whole, content=digest([whole.files, *line]))

    def _frames(self, clip: Clip) -> np.ndarray:
        """[T, width] float32; raises as `load`."""
        try:
            numbers = np.array(self._numbers(clip), dtype=np.float32)
        except ValueError as error:
            raise ClipError(
                f"clip {clip.name}: its line in {clip.frames} does not hold numbers that blanks separate ({str(error)[:70]})"
            ) from None  # cut, for what is no number may be the whole line
        if len(numbers) % self.width:
            raise ClipError(
                f"clip {clip.name}: its line in {clip.frames} holds {len(numbers)} numbers, which is no multiple of "
                f"{self.width} ({self.frame}){self._better_reader(len(numbers))}"
            )
        frames = numbers.reshape(-1, self.width)
        if not np.isfinite(frames).all():
            raise ClipError(f"clip {clip.name}: its line in {clip.frames} holds NaN or infinity")
        if len(frames) < MIN_FRAMES:
            raise ClipError(f"clip {clip.name}: {len(frames)} frames, at least {MIN_FRAMES} are needed")
        if self.counted and counter_of(frames[:, -1]) is None:
            raise ClipError(f"clip {clip.name}: its counter follows none of {', '.join(COUNTERS)}; check the line")
        return frames

    def _better_reader(self, count: int) -> str:
        """What may read a line of so many numbers, as the end of a sentence."""
        return ""

    def _numbers(self, clip: Clip) -> list[bytes]:
        self._list(clip.split)
        start, size, _ = self._lines[clip.split, clip.name]
        with open(clip.frames, "rb") as file:
            file.seek(start)
            return file.read(size).split()

    def _read(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        """Also raises UserError for files of different numbers of lines, or in another encoding than UTF-8."""
        stems = ("dev", "val") if split == "val" else (split,)
        stem = next((s for s in stems if (self.root / f"{s}.skels").is_file()), None)
        if stem is None:
            raise UserError(f"corpus {self.name}: {self.root} holds no {' or '.join(f'{s}.skels' for s in stems)}")
        file = self.root / f"{stem}.skels"
        bounds = _line_bounds(file)
        lines = {kind: self._text_lines(f"{stem}.{kind}") for kind in ("text", "files")}
        lines |= {k: self._text_lines(f"{stem}.{k}") for k in _OPTIONAL if (self.root / f"{stem}.{k}").is_file()}
        counts = {f"{stem}.skels": len(bounds), **{f"{stem}.{kind}": len(of_kind) for kind, of_kind in lines.items()}}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise UserError(f"corpus {self.name}: the files of {self.root} differ in their number of lines: {listed}")
        clips, skipped, seen = [], [], set()
        for i, (start, size) in enumerate(bounds):
            of_clip = {kind: of_kind[i].strip() for kind, of_kind in lines.items()}
            name, text = of_clip["files"], of_clip["text"]
            name = next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), name)
            fault = fault_of_words(name, text, seen)
            if fault is None and size < 2:
                fault = "its line of positions is empty"
            if fault is not None:
                skipped.append(SkippedClip(self.name, name or f"line {i + 1}", fault))
                continue
            seen.add(name)
            gloss, prompt = of_clip.get("gloss"), of_clip.get("prompt")
            clips.append(Clip(name, self.name, split, self.language, text, file, self.fps, gloss, prompt=prompt))
            self._lines[split, name] = start, size, of_clip.get("made_by", "")
        return clips, skipped

    def _text_lines(self, name: str) -> list[str]:
        lines = read_text(self.root / name).split("\n")
        return lines[:-1] if lines and not lines[-1] else lines


def counter_of(values: np.ndarray) -> str | None:
    """Name in `COUNTERS` of the convention that the counters [T] of a clip follow, or None."""
    steps = np.arange(len(values))
    for name, formula in COUNTERS.items():
        if np.abs(values - formula(steps, len(values))).max() < _COUNTER_TOLERANCE:
            return name
    return None


def _line_bounds(path: Path) -> list[tuple[int, int]]:
    """First byte and length of every line, without the blanks at its end and without reading the file into memory. Raises
    UserError for UTF-16."""
    bounds = []
    with open(path, "rb") as file:
        head = file.read(1024)
        if head.startswith(UTF_16_MARKS) or b"\0" in head:
            raise not_utf8(path, "it is in UTF-16")
        start = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
        file.seek(start)
        for line in file:
            bounds.append((start, len(line.rstrip())))
            start += len(line)
    return bounds
