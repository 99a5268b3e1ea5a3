"""Scores of given predictions: what was scored, what not, and why."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from soke.metrics.clips import Score
from soke.metrics.ratios import UNDEFINED


@dataclass
class Scored:
    """Scores of one kind, of motion or of texts.

    scores:   the table's columns; none where no clip could be scored
    clips:    clip -> column -> value, of those that were scored
    unscored: clip -> why; predictions without a reference are among them
    total:    number of references
    notes:    sentences below the table
    """

    scores: list[Score]
    clips: dict[str, dict[str, object]]
    unscored: dict[str, str]
    total: int
    notes: Sequence[str] = ()


def undefined_note(columns: Sequence[str]) -> list[str]:
    """A sentence on columns that are left out, if there are any."""
    return [UNDEFINED + ", ".join(columns)] if columns else []


def unpaired(preds: Iterable[str], refs: Iterable[str]) -> dict[str, str]:
    preds, refs = dict.fromkeys(preds), dict.fromkeys(refs)
    absent = {name: "there is no prediction for this reference" for name in refs if name not in preds}
    return absent | {name: "there is no reference for this prediction" for name in preds if name not in refs}


def reason_of(name: str, message: str) -> str:
    return message.removeprefix(f"clip {name} cannot be scored: ")
