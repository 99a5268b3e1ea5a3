"""What evaluation, timing, validation by generation and pictures know of a system that signs, or reads signing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Sequence

from soke.body.layout import MotionLayout
from soke.body.motion import Motion


class Sentence(Protocol):
    """What a producer reads of a clip; `Typed` is a sentence without a clip."""

    name: str
    text: str
    language: str


@dataclass(frozen=True)
class Typed:
    """A sentence that somebody typed."""

    text: str
    language: str
    name: str = "typed"


class Producer(Protocol):
    """Text to motion."""

    name: str  # row of the result table
    layout: MotionLayout

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        """One motion per sentence. Raises UserError for an empty text or an unknown language."""
        ...
