"""Text files of joint positions, `.skels`: Progressive Transformers (Saunders et al. 2020) and Prompt2Sign."""
from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

import numpy as np
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import UNKNOWN_UNIT
from soke.data.clip import SPLITS, Clip, ClipError, SkippedClip
from soke.data.listing import MIN_FRAMES, fault_of_words
from soke.errors import UserError
from soke.storage import UTF_16_MARKS, not_utf8, read_text

_FRAME = 3 * len(SKELETON_50) + 1  # 150 numbers and a counter
_ZERO = 0.016  # what Prompt2Sign's tools write for 0 and for NaN
# Counter of frame t of T, by who writes it.
COUNTERS = {
    "t/T": lambda t, total: t / total,  # Progressive Transformers
    "(t+1)/T": lambda t, total: (t + 1) / total,  # Prompt2Sign 2024
    "t/(T-1)": lambda t, total: t / max(total - 1, 1),  # Prompt2Sign 2025
}
_COUNTER_TOLERANCE = 1e-4
_PREFIXES = ("train/", "dev/", "test/")


class SkelsCorpus:
    """`{split}.skels`, `.text`, `.files`, and `.gloss` and `.prompt` where there is one; line i of each is clip i; val is
    dev or val.

    A line of .skels holds 151 numbers per frame: 50 joints (x y z), then the counter, in any of its three conventions.
    Positions are multiplied by what the files were divided by: 3 (Progressive Transformers), or 9 (Prompt2Sign), told
    by the constant 0.016 that its tools write for 0; joints of nothing else become 0 again. An empty line is a missing
    clip. `{split}.made_by`, which the format does not know, names the model that made each motion, an empty line is a
    signer's; where there is none, all are. Subclass it for another name, language or frame rate. Raises UserError when
    the folder does not exist.
    """

    name = "skels"
    language = "DGS"
    fps = 25.0
    unit, up = UNKNOWN_UNIT, "-y"  # of positions; a signer's shoulders are about 1 apart

    def __init__(self, root: Path | str):
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"corpus {self.name}: folder {self.root} does not exist; set `root` to that of the .skels")
        self._listed: dict[str, tuple[list[Clip], list[SkippedClip]]] = {}
        # split, name -> first byte and length of its line, and who made it
        self._lines: dict[tuple[str, str], tuple[int, int, str]] = {}

    def clips(self, split: str) -> list[Clip]:
        """In the order of the lines.

        Raises UserError for missing files, files of different numbers of lines or in another encoding than UTF-8, and
        when no clip can be used.
        """
        clips, skipped = self._list(split)
        if not clips:
            first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
            raise UserError(f"corpus {self.name}: none of the {len(skipped)} clips of split {split} can be used{first}")
        return list(clips)

    def skipped(self, split: str) -> list[SkippedClip]:
        return list(self._list(split)[1])

    def annotated(self, split: str) -> list[Clip]:
        return self.clips(split)

    def load(self, clip: Clip) -> JointMotion:
        """Raises ClipError for numbers that make no whole frames, a NaN, or a counter of none of the conventions."""
        try:
            numbers = np.array(self._numbers(clip), dtype=np.float32)
        except ValueError as error:
            raise ClipError(f"clip {clip.name}: its line in {clip.frames} holds no numbers ({error})") from None
        if len(numbers) % _FRAME:
            raise ClipError(
                f"clip {clip.name}: its line in {clip.frames} holds {len(numbers)} numbers, which is no multiple of "
                f"{_FRAME} (50 joints and a counter)"
            )
        frames = numbers.reshape(-1, _FRAME)
        if not np.isfinite(frames).all():
            raise ClipError(f"clip {clip.name}: its line in {clip.frames} holds NaN or infinity")
        if len(frames) < MIN_FRAMES:
            raise ClipError(f"clip {clip.name}: {len(frames)} frames, at least {MIN_FRAMES} are needed")
        if counter_of(frames[:, -1]) is None:
            raise ClipError(f"clip {clip.name}: its counter follows none of {', '.join(COUNTERS)}; check the line")
        positions = frames[:, :-1].reshape(len(frames), -1, 3)
        if (np.abs(positions[:, 1] - _ZERO) < 1e-6).all():  # the neck, which is the origin
            blank = (np.abs(positions - _ZERO) < 1e-6).all(axis=2, keepdims=True)  # one coordinate may be so by chance
            positions = np.where(blank, np.float32(0), positions) * 9
        else:
            positions = positions * 3
        made_by = self._lines[clip.split, clip.name][2]
        return JointMotion(torch.from_numpy(np.ascontiguousarray(positions)), SKELETON_50, self.fps, made_by)

    def length(self, clip: Clip) -> int:
        """How many frames `load` gives."""
        return len(self._numbers(clip)) // _FRAME

    def _numbers(self, clip: Clip) -> list[bytes]:
        self._list(clip.split)
        start, size, _ = self._lines[clip.split, clip.name]
        with open(clip.frames, "rb") as file:
            file.seek(start)
            return file.read(size).split()

    def _list(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        if split not in SPLITS:
            raise UserError(f"corpus {self.name}: no split {split}; the splits are {', '.join(SPLITS)}")
        if split not in self._listed:
            self._listed[split] = self._read(split)
        return self._listed[split]

    def _read(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        stems = ("dev", "val") if split == "val" else (split,)
        stem = next((s for s in stems if (self.root / f"{s}.skels").is_file()), None)
        if stem is None:
            raise UserError(f"corpus {self.name}: {self.root} holds no {' or '.join(f'{s}.skels' for s in stems)}")
        texts, names = (self._text_lines(f"{stem}.{kind}") for kind in ("text", "files"))
        glosses, makers, prompts = (
            self._text_lines(f"{stem}.{kind}") if (self.root / f"{stem}.{kind}").is_file() else None
            for kind in ("gloss", "made_by", "prompt")
        )
        file = self.root / f"{stem}.skels"
        bounds = _line_bounds(file)
        counts = {f"{stem}.skels": len(bounds), f"{stem}.text": len(texts), f"{stem}.files": len(names)}
        optional = {f"{stem}.gloss": glosses, f"{stem}.made_by": makers, f"{stem}.prompt": prompts}
        counts |= {name: len(lines) for name, lines in optional.items() if lines is not None}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise UserError(f"corpus {self.name}: the files of {self.root} differ in their number of lines: {listed}")
        clips, skipped, seen = [], [], set()
        for i, (start, size) in enumerate(bounds):
            name = names[i].strip()
            name = next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), name)
            fault = fault_of_words(name, texts[i].strip(), seen)
            if fault is None and size < 2:
                fault = "its line of positions is empty"
            if fault is not None:
                skipped.append(SkippedClip(self.name, name or f"line {i + 1}", fault))
                continue
            seen.add(name)
            gloss, prompt = (None if lines is None else lines[i].strip() for lines in (glosses, prompts))
            clips.append(
                Clip(name, self.name, split, self.language, texts[i].strip(), file, self.fps, gloss, prompt=prompt)
            )
            self._lines[split, name] = start, size, "" if makers is None else makers[i].strip()
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
    """First byte and length of every line, without reading the file into memory. Raises UserError for UTF-16."""
    bounds = []
    with open(path, "rb") as file:
        head = file.read(1024)
        if head.startswith(UTF_16_MARKS) or b"\0" in head:
            raise not_utf8(path, "it is in UTF-16")
        start = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
        file.seek(start)
        for line in file:
            bounds.append((start, len(line.strip())))
            start += len(line)
    return bounds
