"""A part of the training clips: which ones a seed chooses, and corpora that hold no others."""
from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from soke.data.clip import Clip, Corpus, SkippedClip
from soke.data.corpora.listing import Listing
from soke.data.fingerprints import annotation_hashes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingShare:
    """Chooses training clips. Of one seed, a smaller choice lies within a larger one.

    share: of the clips, rounded, at least one
    clips: at most so many; None: any number
    seed:  with names alone it decides which ones
    """

    share: float = 1.0
    clips: int | None = None
    seed: int = 0

    @property
    def all(self) -> bool:
        """Whether nothing is left out."""
        return self.share == 1 and self.clips is None

    def chosen(self, corpus: str, names: Iterable[str]) -> set[str]:
        """Those of the names of a corpus's clips that training has, in whatever order they come."""
        drawn = sorted(names, key=lambda name: hashlib.sha256(f"{self.seed} {corpus}/{name} trains".encode()).digest())
        count = max(round(self.share * len(drawn)), 1)
        return set(drawn[: count if self.clips is None else min(count, self.clips)])


class TrainingSubset:
    """A corpus of which `share` leaves a part of the training clips. In all else it is the corpus."""

    def __init__(self, corpus: Corpus, share: TrainingShare):
        self._corpus, self._share = corpus, share
        self._told = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not yet there, as when a copy is made
            raise AttributeError(name)
        found = getattr(self._corpus, name)
        return self._described if name == "described" else found  # which not every corpus has

    def clips(self, split: str) -> list[Clip]:
        """As the corpus gives them; of train, the chosen ones."""
        clips = self._corpus.clips(split)
        return self._left(clips) if split == "train" else clips

    def skipped(self, split: str) -> list[SkippedClip]:
        return self._corpus.skipped(split)

    def annotation_hashes(self) -> dict[str, str]:
        """Of all of the corpus: what was made from it does not become another's."""
        return annotation_hashes(self._corpus)

    def _described(self, split: str) -> Listing:
        listing = self._corpus.described(split)
        return replace(listing, clips=self._left(listing.clips)) if split == "train" else listing

    def _left(self, clips: list[Clip]) -> list[Clip]:
        names = self._share.chosen(self._corpus.name, (clip.name for clip in clips))
        if not self._told:
            self._told = True
            most, where = self._share.clips, (len(names), len(clips), self._corpus.name, self._share.seed)
            _log.info("training has %d of the %d clips of %s, chosen by seed %d", *where)
            if most is not None and len(clips) < most:
                _log.warning("%s has %d training clips, fewer than the %d asked for", self._corpus.name, len(clips), most)
        return [clip for clip in clips if clip.name in names]
