"""Retrieval: signs of an external lexicon that occur in a sentence (SOKE, section 3.4)."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from soke.data.words import words_of

Signs = Mapping[str, Tensor]  # word -> codes [K, P]

# How the encoder's text announces the i-th retrieved sign, by the locale of the text.
MARKERS = {"en_XX": "Key word {}, ", "zh_CN": "关键词 {}, ", "de_DE": "Schlüsselwort {}, "}


class Lexicon:
    """Codes of isolated signs per sign language, found in sentences by exact match of whole words.

    words: at most this many signs per sentence, the longest words first; 0 finds none
    steps: longer signs are evenly thinned to this many codes
    """

    def __init__(self, signs: Mapping[str, Signs], words: int = 3, steps: int = 10):
        self.words, self.steps = words, steps
        self.signs: dict[str, dict[str, Tensor]] = {
            language: {word.lower(): _thinned(codes, steps) for word, codes in entries.items()}
            for language, entries in signs.items()
        }

    def find(self, text: str, language: str) -> list[str]:
        """Lexicon words in `text`, longest first, in order of appearance among equals."""
        signs = self.signs.get(language, {})
        found = dict.fromkeys(word for word in words_of(text, language) if word in signs)
        return sorted(found, key=len, reverse=True)[: self.words]

    def codes(self, text: str, language: str) -> list[Tensor]:
        """The codes [K, P], K <= steps, of each sign that `find` finds."""
        return [self.signs[language][word] for word in self.find(text, language)]


def _thinned(codes: Tensor, steps: int) -> Tensor:
    if len(codes) <= steps:
        return codes
    return codes[torch.linspace(0, len(codes) - 1, steps).round().long()]
