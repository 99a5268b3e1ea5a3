"""A lexicon: recordings of isolated signs, each with its word."""
from __future__ import annotations

import math
from pathlib import Path

from soke.data.annotations import read_table
from soke.data.base import Listing, TableCorpus, parsed_fps
from soke.data.clip import TEXT_LOCALE, Clip
from soke.data.how2sign import How2Sign


class Lexicon(TableCorpus):
    """`lexicon.csv` with the columns word, language (ASL, CSL, DGS), name, fps, and `poses/{name}/*.pkl`.

    Every sign is a clip of split train whose text is its word; the other splits are empty. Unlike a corpus of
    sentences it has no language and no frame rate of its own: its clips have. Signs keep their rate, except that ASL
    ones are brought down to the rate of How2Sign, whose sentences they are looked up for.
    """

    name = "lexicon"
    columns = ("word", "language", "name", "fps")
    name_column = "name"
    _root_key = "DATASET.LEXICON"

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
        return Clip(name, self.name, split, language, row["word"].strip(), frames, parsed_fps(row))
