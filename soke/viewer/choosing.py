"""Which entries of a source are listed, and in which order."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PAGE = 8  # entries that are listed together


@dataclass(frozen=True)
class Entry:
    """A clip that can be opened, or one that is broken.

    name:     unique in its corpus
    scores:   system -> column -> score
    readings: system, or the reference -> what a reader has read from its motion
    fault:    why it cannot be shown; "" where nothing is known to be wrong with it
    """

    corpus: str
    name: str
    text: str = ""
    language: str = ""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.corpus, self.name


@dataclass(frozen=True)
class Query:
    """corpus: of the entries; "": all
    search:    words, all of which stand in the text or the name, whatever their case
    system:    whose scores are sorted by
    column:    that is sorted by; "": the order of the source
    best:      whether the best come first; else the worst
    broken:    whether broken clips are listed in place of the others
    """

    corpus: str = ""
    search: str = ""
    system: str = ""
    column: str = ""
    best: bool = False
    broken: bool = False

    def of(self, entries: Sequence[Entry], directions: Mapping[str, bool | None]) -> list[Entry]:
        """The entries that are asked for; those without a score come last, and equals as they were.

        directions: column -> whether higher is better; None: 1 is right, and worse is what is farther from it
        """
        words = self.search.casefold().split()
        chosen = [
            entry for entry in entries
            if bool(entry.fault) == self.broken and self.corpus in ("", entry.corpus)
            and all(word in f"{entry.text} {entry.name}".casefold() for word in words)
        ]
        if not self.column:
            return chosen
        direction = directions.get(self.column, False)
        badness = {entry.key: _badness(self.score(entry), direction) for entry in chosen}
        scored = [entry for entry in chosen if badness[entry.key] is not None]
        scored.sort(key=lambda entry: badness[entry.key], reverse=not self.best)
        return scored + [entry for entry in chosen if badness[entry.key] is None]

    def score(self, entry: Entry) -> float | None:
        """The score that the entry is sorted by; None where it has none."""
        return entry.scores.get(self.system, {}).get(self.column)


def _badness(score: float | None, higher_is_better: bool | None) -> float | None:
    """What is larger for a worse score."""
    if score is None or math.isnan(score):
        return None
    return abs(score - 1) if higher_is_better is None else -score if higher_is_better else score


def page_of(entries: Sequence[Entry], number: int) -> tuple[int, list[Entry]]:
    """The page `number`, counted from 0, or the nearest that there is: its number, and its entries."""
    number = min(max(number, 0), max(-(-len(entries) // PAGE) - 1, 0))
    return number, list(entries[number * PAGE : (number + 1) * PAGE])
