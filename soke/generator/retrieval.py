"""Retrieval: signs of an external lexicon that occur in a sentence (SOKE, section 3.4)."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from soke.data.keywords import MATCHERS

Signs = Mapping[str, Tensor]  # word -> codes [K, P]

# How the encoder's text announces the i-th retrieved sign, by the locale of the text; English where none is published.
MARKERS = {"en_XX": "Key word {}, ", "zh_CN": "关键词 {}, ", "de_DE": "Schlüsselwort {}, "}


def marker(locale: str, number: int) -> str:
    """The words before the retrieved sign `number`, counted from 1."""
    return MARKERS.get(locale, MARKERS["en_XX"]).format(number)


class Lexicon:
    """Codes of isolated signs per sign language, found in sentences.

    words: at most this many signs per sentence, the longest words first; 0 finds none
    steps: longer signs are evenly thinned to this many codes
    match: name in `MATCHERS`: how words are found
    """

    def __init__(self, signs: Mapping[str, Signs], words: int = 3, steps: int = 10, match: str = "token"):
        self.words, self.steps = words, steps
        self.matcher = MATCHERS[match](signs)
        self.signs: dict[str, dict[str, Tensor]] = {
            language: {word: _thinned(codes, steps) for word, codes in entries.items()}
            for language, entries in signs.items()
        }

    def find(self, text: str, language: str) -> list[str]:
        """Lexicon words in `text`, longest first, in order of appearance among equals."""
        return [word for _, word in self._found(text, language)]

    def codes(self, text: str, language: str) -> list[Tensor]:
        """The codes [K, P], K <= steps, of each sign that `find` finds."""
        return [self.signs[whose][word] for whose, word in self._found(text, language)]

    def _found(self, text: str, language: str) -> list[tuple[str, str]]:
        return self.matcher.find(text, language)[: self.words]


def _thinned(codes: Tensor, steps: int) -> Tensor:
    if len(codes) <= steps:
        return codes
    return codes[torch.linspace(0, len(codes) - 1, steps).round().long()]
