"""Settings of corpora and of what is read from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from soke.settings import Settings, near

KNOWN_CORPORA = ("how2sign", "csl", "phoenix", "nmfs_csl", "faces")


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """Those after `weight` are of readers of line files (`soke.data.lines.LinesCorpus`), in place of the class's."""

    root: str = ""
    packed: str = ""
    reader: str = ""
    weight: float = 1.0
    language: str = ""
    locale: str = ""
    fps: float | None = None
    joints: str = ""

    def problems(self) -> list[str]:
        found = [] if self.root else ["`root` is missing"]
        if self.fps is not None and not 0 < self.fps < math.inf:
            found.append(f"`fps` must be a number above 0, not {self.fps}; null takes the reader's")
        if not 0 < self.weight < math.inf:
            found.append(f"`weight` must be a number above 0, not {self.weight}; null for a corpus leaves it out")
        return found


@dataclass(frozen=True)
class Dataset(Settings):
    corpora: dict[str, CorpusSettings]
    frames: Literal["soke", "smplfx"]
    lexicon: str | None
    train_on_lexicon: bool
    code_path: str
    statistics: str
    min_frames: int
    max_frames: int
    strict: bool
    cache_frames: int
    group_by_length: bool
    train_share: float
    train_clips: int | None

    def problems(self) -> list[str]:
        found = [] if self.corpora else ["`corpora` is empty: name at least one corpus"]
        found += [
            f"`corpora.{name}` is none of {', '.join(KNOWN_CORPORA)}{near(name, KNOWN_CORPORA)}; a corpus of your own "
            f"needs `corpora.{name}.reader`, the class that reads it, as package.module.Class"
            for name, corpus in self.corpora.items() if name not in KNOWN_CORPORA and not corpus.reader
        ]
        if self.min_frames > self.max_frames:
            found.append("`min_frames` is above `max_frames`")
        if not 0 < self.train_share <= 1:
            found.append(f"`train_share` must be above 0 and at most 1, not {self.train_share}")
        if self.train_clips is not None and self.train_clips < 1:
            found.append(f"`train_clips` must be at least 1, or null for all, not {self.train_clips}")
        return found + self.below(0, "cache_frames")
