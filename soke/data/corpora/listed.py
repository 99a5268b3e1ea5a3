"""Corpora of joint positions that list a split when it is first asked for, and keep the list."""
from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from soke.data.clip import SPLITS, Clip, SkippedClip
from soke.errors import UserError


class ListedCorpus(ABC):
    """What such have in common.

    root:  folder of the files
    files: what it must hold, as errors have it

    Raises UserError when the folder does not exist.
    """

    name: str

    def __init__(self, root: Path | str, files: str):
        self.root = Path(root)
        if not self.root.is_dir():
            raise UserError(f"corpus {self.name}: folder {self.root} does not exist; set `root` to that of the {files}")
        self._listed: dict[str, tuple[list[Clip], list[SkippedClip]]] = {}

    def clips(self, split: str) -> list[Clip]:
        """In the order of the files. Raises UserError as `_read`, and when no clip can be used."""
        clips, skipped = self._list(split)
        if not clips:
            first = f"; the first, {skipped[0].name}: {skipped[0].reason}" if skipped else ""
            raise UserError(f"corpus {self.name}: none of the {len(skipped)} clips of split {split} can be used{first}")
        return list(clips)

    def skipped(self, split: str) -> list[SkippedClip]:
        return list(self._list(split)[1])

    def annotated(self, split: str) -> list[Clip]:
        return self.clips(split)

    def _list(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        if split not in SPLITS:
            raise UserError(f"corpus {self.name}: no split {split}; the splits are {', '.join(SPLITS)}")
        if split not in self._listed:
            self._listed[split] = self._read(split)
        return self._listed[split]

    @abstractmethod
    def _read(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        """The clips that can be used, and the others. Raises UserError for missing or damaged files."""
