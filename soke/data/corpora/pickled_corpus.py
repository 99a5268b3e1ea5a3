"""Corpora whose annotation is a gzipped pickle, as of CSL-Daily and Phoenix-2014T."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.annotations import read_entries
from soke.data.corpora.base import FrameFolderCorpus
from soke.data.corpora.listing import Listing


class PickledCorpus(FrameFolderCorpus):
    """A corpus whose annotation is a gzipped pickle: a list of dicts with name, text, and perhaps gloss and signer.

    annotation_files: split -> names under the root, of which the first that exists is read
    frames_folder:    folder under the root that holds one folder per clip name
    """

    annotation_files: dict[str, tuple[str, ...]]
    frames_folder: str

    def annotation_paths(self, split: str) -> list[Path]:
        return [self._existing(self.root / name for name in self.annotation_files[split])]

    def _annotated(self, split: str) -> Listing:
        (path,) = self.annotation_paths(split)
        listing = Listing()
        for number, entry in enumerate(read_entries(path)):
            if not isinstance(entry.get("name"), str):
                listing.skipped.append(SkippedClip(self.name, f"{path.name} entry {number}", "has no name"))
                continue
            try:
                listing.clips.append(self._clip(entry, split))
            except ClipError as error:
                listing.skipped.append(SkippedClip(self.name, entry["name"], str(error)))
        return listing

    def _clip(self, entry: dict[str, Any], split: str) -> Clip:
        signer = entry.get("signer")
        return Clip(
            name=entry["name"],
            corpus=self.name,
            split=split,
            language=self.language,
            text=_sentence(entry.get("text", "")),
            frames=self.root / self.frames_folder / entry["name"],
            fps=self.fps,
            gloss=_sentence(entry.get("gloss")),
            signer=None if signer is None else str(signer),
            seconds=_seconds(entry.get("num_frames"), self.fps),
        )


def _seconds(frames: Any, fps: float) -> float | None:
    """How long an annotated number of frames lasts."""
    return frames / fps if isinstance(frames, (int, np.integer)) else None


def _sentence(value: Any) -> Any:
    """A list of words as the sentence that they are; all else as it is."""
    words = isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)
    return " ".join(value) if words else value
