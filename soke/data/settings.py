"""Settings of corpora and of what is read from them."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from soke.settings import Settings, near

KNOWN_CORPORA = ("how2sign", "csl", "phoenix", "nmfs_csl", "faces")


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """Those after `weight` are of readers of line files (`soke.data.corpora.lines.LinesCorpus`), in place of the class's."""

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
        found += self._doubled()
        if self.min_frames > self.max_frames:
            found.append("`min_frames` is above `max_frames`")
        if not 0 < self.train_share <= 1:
            found.append(f"`train_share` must be above 0 and at most 1, not {self.train_share}")
        if self.train_clips is not None and self.train_clips < 1:
            found.append(f"`train_clips` must be at least 1, or null for all, not {self.train_clips}")
        return found + self.below(0, "cache_frames")

    def _doubled(self) -> list[str]:
        """A sentence for each two corpora that are one; a reader of one's own may tell several in a folder apart."""
        first: dict[tuple[str, str], str] = {}
        pairs = [
            (first.setdefault((corpus.reader, os.path.normpath(corpus.root)), name), name)
            for name, corpus in self.corpora.items() if corpus.reader.startswith("soke.") and corpus.root
        ]
        return [
            f"`corpora.{name}.root` is that of {other}, whose clips it would have once more: name its own folder, or leave it "
            "out with null" for other, name in pairs if other != name
        ]


@dataclass(frozen=True)
class Augment(Settings):
    """How training clips are changed when they are drawn; the least value of each setting changes nothing.

    drop_step:      probability that a clip's codes lack their first or their last step (SOKE's released code: 1/3)
    speed:          clips are up to this share faster or slower
    rotation_noise: standard deviation of each frame's turns about each axis, degrees
    position_noise: that of positions, in the corpus's unit
    mirror:         corpus -> probability that a clip is signed by the other hand
    time_mask:      greatest share of a clip that a reader does not see
    """

    drop_step: float
    speed: float
    rotation_noise: float
    position_noise: float
    mirror: dict[str, float]
    time_mask: float

    OF_MOTIONS: ClassVar[tuple[str, ...]] = ("speed", "rotation_noise", "position_noise", "mirror", "time_mask")
    OF_CODES: ClassVar[tuple[str, ...]] = ("drop_step",)

    def problems(self) -> list[str]:
        found = self.no_share("drop_step")
        found += [
            f"`{name}` must be a number of at least 0, not {value}"
            for name, value in (("rotation_noise", self.rotation_noise), ("position_noise", self.position_noise))
            if not 0 <= value < math.inf
        ]
        found += [
            f"`{name}` must be at least 0 and below 1, not {value}"
            for name, value in (("speed", self.speed), ("time_mask", self.time_mask)) if not 0 <= value < 1
        ]
        return found + [
            f"`mirror.{corpus}` must be a probability between 0 and 1, not {probability}"
            for corpus, probability in self.mirror.items() if not 0 <= probability <= 1
        ]

    @property
    def used(self) -> set[str]:
        """Names of the settings that change anything."""
        named = {name for name in (*self.OF_MOTIONS, *self.OF_CODES) if getattr(self, name)}
        return named if any(self.mirror.values()) else named - {"mirror"}

    @property
    def stretch(self) -> float:
        """How many times as long a clip may become."""
        return 1 / (1 - self.speed)

    def useless(self, stage: str, augmented_by: Collection[str], corpora: Collection[str], positions: bool) -> list[str]:
        """What has no effect in a training, a sentence each, with keys.

        augmented_by: settings that the training of the stage's models uses
        corpora:      whose clips it is
        positions:    whether their motions are joint positions
        """
        unfit = {"rotation_noise": "positions"} if positions else {"position_noise": "rotations"}
        found = []
        for name in sorted(self.used):
            key = f"AUGMENT.{name.upper()}"
            if name not in augmented_by:
                found.append(f"{key} has no effect in a training of stage {stage}: leave it as it is in default.yaml")
            elif name in unfit:
                found.append(f"{key} has no effect on PARTS of {unfit[name]}: leave it 0")
        found += [
            f"AUGMENT.MIRROR.{name} is no corpus of this training, {', '.join(corpora)}{near(name, corpora)}"
            for name in self.mirror if name not in corpora
        ]
        return found
