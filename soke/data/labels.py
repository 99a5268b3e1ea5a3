"""Labels of isolated signs: which sign a clip shows."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from soke.data.clip import Corpus

CONFUSING, NORMAL = "confusing", "normal"
SUBSETS = (NORMAL, CONFUSING)


@dataclass(frozen=True)
class SignLabel:
    """A sign, as a class.

    number: class, from 0
    word:   what it means
    subset: confusing signs are told apart by the face alone, normal ones are not; "" where a corpus does not tell
    group:  the same for the signs that share what the hands do; "" where a corpus does not tell
    """

    number: int
    word: str
    subset: str = ""
    group: str = ""


class LabelledCorpus(Corpus, Protocol):
    """A corpus of isolated signs."""

    def labels(self, split: str) -> dict[str, SignLabel]:
        """Clip name -> label, for the usable clips of a split; equal numbers have equal labels."""
        ...
