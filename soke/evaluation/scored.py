"""Scores of given predictions: what was scored, what not, and why."""
from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soke.metrics.clips import Score
from soke.metrics.ratios import UNDEFINED

log = logging.getLogger(__name__)

_ONE_RATE = 1.01  # times the lowest rate of clips that all have one, as 23.976 and 24 are


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


def doubt_notes(doubts: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each kind of doubt, which are logged, too."""
    sentences = [
        f"in doubt: {kind} ({len(found)} found; the first, {found[0]})" for kind, found in doubts.items()
    ]
    for sentence in sentences:
        log.warning(sentence)
    return sentences


def common_rate(rates: Sequence[float]) -> tuple[float, list[str]]:
    """Frames per second for signatures, the median of the clips', and a sentence where that is not the rate of all."""
    least, median, most = min(rates), float(np.median(rates)), max(rates)
    if most <= _ONE_RATE * least:
        return median, []
    return median, [
        f"the clips have {least:g} to {most:g} frames/s, of which signatures give the median, {median:g}: score clips of one "
        "rate for numbers that compare with others"
    ]


def unpaired(preds: Iterable[str], refs: Iterable[str]) -> dict[str, str]:
    preds, refs = dict.fromkeys(preds), dict.fromkeys(refs)
    absent = {name: "there is no prediction for this reference" for name in refs if name not in preds}
    return absent | {name: "there is no reference for this prediction" for name in preds if name not in refs}


def reason_of(name: str, message: str) -> str:
    return message.removeprefix(f"clip {name} cannot be scored: ")
