"""A lexicon: recordings of isolated signs, each with its word."""
from __future__ import annotations

import math
from bisect import bisect_left
from pathlib import Path

from soke.data.annotations import read_table
from soke.data.base import Listing, TableCorpus, parsed_fps, parsed_number
from soke.data.clip import TEXT_LOCALE, Clip, ClipError
from soke.data.how2sign import How2Sign
from soke.data.loading import FrameFiles, frame_files


class Lexicon(TableCorpus):
    """`lexicon.csv` with the columns word, language (ASL, CSL, DGS), name, fps, and `poses/{name}/*.pkl`.

    A sign may also be a segment of a continuous clip: its row then has in the columns source, start, end the clip's
    folder of frame files (relative to the lexicon's folder, or absolute) and its first and last frame number, the last
    excluded. At least half of those frames must be there (as in SOKE's data); name is then any unique one.

    Every sign is a clip of split train whose text is its word; the other splits are empty. Unlike a corpus of
    sentences it has no language and no frame rate of its own: its clips have. Signs keep their rate, except that ASL
    ones are brought down to the rate of How2Sign, whose sentences they are looked up for.
    """

    name = "lexicon"
    columns = ("word", "language", "name", "fps")
    name_column = "name"
    splits = ("train",)
    _root_key = "DATASET.LEXICON"

    def __init__(self, root: Path | str, packed: Path | str | None = None):
        super().__init__(root, packed)
        self._segments: dict[str, tuple[int, int]] = {}

    def _frame_files(self, clip: Clip) -> FrameFiles:
        files = frame_files(clip)
        if clip.name not in self._segments:
            return files
        start, end = self._segments[clip.name]
        first, last = (bisect_left(files.numbers, number) for number in (start, end))
        found = FrameFiles(files.names[first:last], files.numbers[first:last], files.strays)
        if 2 * len(found) < end - start:
            raise ClipError(f"clip {clip.name}: {clip.frames} holds {len(found)} of the frames {start} to {end - 1}")
        return found

    def _max_fps(self, clip: Clip) -> float:
        return How2Sign.fps if clip.language == How2Sign.language else math.inf

    def annotation_paths(self, split: str) -> list[Path]:
        return [self._existing([self.root / "lexicon.csv"])] if split == "train" else []

    def _annotated(self, split: str) -> Listing:
        for path in self.annotation_paths(split):
            return self._listed(path, read_table(path, self.columns), split)
        return Listing()

    def _clip(self, row: dict[str, str], split: str) -> Clip:
        name, language = row["name"], row["language"]
        if language not in TEXT_LOCALE:
            raise ValueError(f"language {language!r}, which is none of {', '.join(TEXT_LOCALE)}")
        frames = self.root / "poses" / name
        if row.get("source"):
            start, end = (int(parsed_number(row, column)) for column in ("start", "end"))
            if not 0 <= start < end:
                raise ValueError(f"start {row['start']!r} and end {row['end']!r}, which hold no frames")
            self._segments[name] = start, end
            frames = self.root / row["source"]
        return Clip(name, self.name, split, language, row["word"].strip(), frames, parsed_fps(row))
