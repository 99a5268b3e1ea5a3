"""What the corpora have in common: a folder of frame pickles per clip, and rules for the clips that cannot be used."""
from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soke.body.motion import Motion
from soke.data.annotations import Table, read_entries
from soke.data.clip import SPLITS, Clip, ClipError, SkippedClip
from soke.data.lengths import downsampled_indices
from soke.data.loading import count_frames, frame_files, read_motion
from soke.errors import UserError

_log = logging.getLogger(__name__)
MIN_FRAMES = 4  # stored frames; shorter clips are dropped (SOKE's released data)
_NAMED_IN_LOG = 5


@dataclass
class Listing:
    """The clips of one split.

    clips:   usable ones, in annotation order
    skipped: faulty ones
    dropped: number of clips that a rule of the corpus excludes, per rule
    """

    clips: list[Clip] = field(default_factory=list)
    skipped: list[SkippedClip] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


class FrameFolderCorpus(ABC):
    """A corpus on disk; the base of all readers. Raises UserError when its folder does not exist.

    root: folder of the corpus in its published layout
    """

    name: str
    language: str
    fps: float

    def __init__(self, root: Path | str):
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(
                f"corpus {self.name}: folder {self.root} does not exist; set {self._root_key} to the folder that "
                "holds the corpus"
            )
        self._listings: dict[str, Listing] = {}

    @abstractmethod
    def _annotated(self, split: str) -> Listing:
        """All clips that the annotation file names, whether their frames exist or not."""

    @property
    def _root_key(self) -> str:
        return f"DATASET.CORPORA.{self.name}.ROOT"

    def _max_fps(self, clip: Clip) -> float:
        """Frame rate above which a clip's frames are thinned out."""
        return self.fps

    def clips(self, split: str) -> list[Clip]:
        """The usable clips of `split` in annotation order.

        Raises UserError for an unknown split, an annotation file that is missing or cannot be read, and when none of
        the annotated clips has frames.
        """
        return list(self._listing(split).clips)

    def skipped(self, split: str) -> list[SkippedClip]:
        """The clips of `split` without frames, without text, or with an annotation that makes no sense."""
        return list(self._listing(split).skipped)

    def load(self, clip: Clip) -> Motion:
        """The clip's motion at the working frame rate. Raises ClipError naming the clip, the file and the cause."""
        files = frame_files(clip)
        if len(files) < MIN_FRAMES:
            raise ClipError(
                f"clip {clip.name}: {clip.frames} holds {len(files)} frame files, at least {MIN_FRAMES} are needed"
            )
        fps = min(clip.fps, self._max_fps(clip))
        if fps < clip.fps:
            files = [files[i] for i in downsampled_indices(len(files), clip.fps, fps).tolist()]
        return read_motion(clip, files, fps)

    def _listing(self, split: str) -> Listing:
        if split not in SPLITS:
            raise UserError(f"corpus {self.name}: no split {split}; the splits are {', '.join(SPLITS)}")
        if split not in self._listings:
            self._listings[split] = self._with_frames(self._annotated(split), split)
        return self._listings[split]

    def _with_frames(self, annotated: Listing, split: str) -> Listing:
        listing = replace(annotated, clips=[])
        for clip in annotated.clips:
            frames = count_frames(clip.frames, enough=MIN_FRAMES)
            if not clip.text:
                listing.skipped.append(SkippedClip(self.name, clip.name, "its text is empty"))
            elif not frames:
                fault = "does not exist" if frames is None else "holds no frame files"
                listing.skipped.append(SkippedClip(self.name, clip.name, f"{clip.frames} {fault}"))
            elif frames < MIN_FRAMES:
                listing.dropped[f"of fewer than {MIN_FRAMES} frames"] += 1
            else:
                listing.clips.append(clip)
        total = len(listing.clips) + len(listing.skipped) + sum(listing.dropped.values())
        if listing.skipped and not listing.clips:
            raise UserError(
                f"corpus {self.name}: none of the {total} clips of split {split} can be used; the first, "
                f"{listing.skipped[0].name}: {listing.skipped[0].reason}"
            )
        if listing.dropped:
            rules = ", ".join(f"{count} {rule}" for rule, count in listing.dropped.items())
            _log.info("%s %s: dropped by rule: %s", self.name, split, rules)
        if listing.skipped:
            names = ", ".join(skipped.name for skipped in listing.skipped[:_NAMED_IN_LOG])
            _log.warning(
                "%s %s: %d of %d clips skipped: %s%s (the first: %s)", self.name, split, len(listing.skipped), total,
                names, ", …" if len(listing.skipped) > _NAMED_IN_LOG else "", listing.skipped[0].reason,
            )
        return listing

    def _existing(self, candidates: Iterable[Path]) -> Path:
        """The first annotation file that exists. Raises UserError that names them all."""
        candidates = list(candidates)
        for path in candidates:
            if path.is_file():
                return path
        raise UserError(
            f"corpus {self.name}: {' or '.join(map(str, candidates))} does not exist; put the annotation file there"
        )


class TableCorpus(FrameFolderCorpus):
    """A corpus whose annotation is a table with a header, one clip per row.

    columns:     columns that must be there
    name_column: the one that holds the clip's name
    """

    columns: tuple[str, ...]
    name_column: str

    @abstractmethod
    def _clip(self, row: dict[str, str], split: str) -> Clip | str:
        """The clip of a row, or the rule that excludes it. Raises ValueError for values that make no sense."""

    def _listed(self, path: Path, table: Table, split: str) -> Listing:
        listing = Listing()
        for line, fault in table.malformed.items():
            listing.skipped.append(SkippedClip(self.name, f"{path.name} {line}", fault))
        for row in table.rows:
            try:
                clip = self._clip(row, split)
            except ValueError as error:
                listing.skipped.append(SkippedClip(self.name, row[self.name_column], f"its row in {path} has {error}"))
                continue
            if isinstance(clip, Clip):
                listing.clips.append(clip)
            else:
                listing.dropped[clip] += 1
        return listing


def parsed_number(row: dict[str, str], column: str) -> float:
    """The finite number in a column. Raises ValueError that names the column and the value."""
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{column} {row[column]!r}, which is no number")
    return number


def parsed_fps(row: dict[str, str], column: str = "fps") -> float:
    """The frame rate in a column. Raises ValueError unless it is above 0."""
    fps = parsed_number(row, column)
    if fps <= 0:
        raise ValueError(f"{column} {row[column]!r}, which is no frame rate")
    return fps


class PickledCorpus(FrameFolderCorpus):
    """A corpus whose annotation is a gzipped pickle: a list of dicts with name, text, and perhaps gloss and signer.

    annotation_files: split -> names under the root, of which the first that exists is read
    frames_folder:    folder under the root that holds one folder per clip name
    """

    annotation_files: dict[str, tuple[str, ...]]
    frames_folder: str

    def _annotated(self, split: str) -> Listing:
        path = self._existing(self.root / name for name in self.annotation_files[split])
        return Listing([self._clip(entry, split) for entry in read_entries(path)])

    def _clip(self, entry: dict[str, Any], split: str) -> Clip:
        gloss, signer = entry.get("gloss"), entry.get("signer")
        return Clip(
            name=entry["name"],
            corpus=self.name,
            split=split,
            language=self.language,
            text=entry["text"].strip(),
            frames=self.root / self.frames_folder / entry["name"],
            fps=self.fps,
            gloss=None if gloss is None else str(gloss).strip(),
            signer=None if signer is None else str(signer),
        )
