"""Retrieval: signs of an external lexicon that occur in a sentence (SOKE, section 3.4)."""
from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from soke.data.codes import REMEDY
from soke.data.keywords import MATCHERS, Match, TokenMatcher
from soke.errors import UserError

Signs = Mapping[str, Tensor]  # word -> codes [K, P]

# How the encoder's text announces the i-th retrieved sign, by the locale of the text; English where none is published.
MARKERS = {"en_XX": "Key word {}, ", "zh_CN": "关键词 {}, ", "de_DE": "Schlüsselwort {}, "}


def marker(locale: str, number: int) -> str:
    """The words before the retrieved sign `number`, counted from 1."""
    return MARKERS.get(locale, MARKERS["en_XX"]).format(number)


class Lexicon:
    """Codes of isolated signs per sign language, found in sentences.

    signs:     sign language -> word -> codes [K, P]
    words:     at most this many signs per sentence, the longest words first; 0 finds none
    steps:     longer signs are evenly thinned to this many codes
    match:     name in `MATCHERS`: how words are found
    similar:   lowest score, up to 1, of an entry for a word that is in no entry, see `TokenMatcher`; 0 takes none
    codebooks: part -> size of its codebook, in the order of the P streams of codes; None does not check codes by it

    Raises UserError for a sign whose codes are malformed or in no codebook.
    """

    def __init__(
        self, signs: Mapping[str, Signs], words: int = 3, steps: int = 10, match: str = "token", similar: float = 0.0,
        *, codebooks: Mapping[str, int] | None = None,
    ):  # fmt: skip
        if similar and MATCHERS[match] is not TokenMatcher:
            raise UserError(
                f"GENERATOR.RETRIEVAL.SIMILAR={similar} has no effect with GENERATOR.RETRIEVAL.MATCH={match}: "
                "set SIMILAR to 0, or MATCH to token"
            )
        for language, entries in signs.items():
            for word, codes in entries.items():
                _check(language, word, codes, codebooks)
        self.words, self.steps = words, steps
        self.matcher = TokenMatcher(signs, similar) if similar else MATCHERS[match](signs)
        self.signs: dict[str, dict[str, Tensor]] = {
            language: {word: _thinned(codes, steps) for word, codes in entries.items()}
            for language, entries in signs.items()
        }
        # of each sign before it was thinned
        self.recorded_steps: dict[str, dict[str, int]] = {
            language: {word: len(codes) for word, codes in entries.items()} for language, entries in signs.items()
        }

    def matches(self, text: str, language: str) -> list[Match]:
        """The first `words` entries found in `text`: exact ones, longest first, in order of appearance among equals;
        then similar ones, the nearest first."""
        return self.matcher.find(text, language)[: self.words]

    def find(self, text: str, language: str) -> list[str]:
        """The words of `matches`."""
        return [match.word for match in self.matches(text, language)]

    def codes(self, match: Match) -> Tensor:
        """The codes [K, P], K <= steps, of a sign that was found."""
        return self.signs[match.language][match.word]


def explained(lexicon: Lexicon, text: str, language: str) -> str:
    """What is retrieved for a sentence, for people: a line per sign, or one sentence that says why there is none."""
    if not lexicon.words:
        return "no sign is retrieved: GENERATOR.RETRIEVAL.WORDS is 0"
    matches = lexicon.matches(text, language)
    if matches:
        return "\n".join(_line(lexicon, match) for match in matches)
    if not lexicon.signs.get(language):
        return f"no sign is retrieved: the lexicon has no signs of {language}"
    return f"no sign is retrieved: no word of the sentence is in the lexicon of {language}"


def _line(lexicon: Lexicon, match: Match) -> str:
    how = f"{match.how} {match.score:.2f}" if match.how == "similar" else match.how
    kept, recorded = len(lexicon.codes(match)), lexicon.recorded_steps[match.language][match.word]
    count = f"{recorded}" if kept == recorded else f"{kept} of {recorded}"
    unit = "step" if recorded == 1 else "steps"
    return f'"{match.surface}" -> {match.word} ({match.language}, {how}, {count} {unit})'


def _check(language: str, word: str, codes: Tensor, codebooks: Mapping[str, int] | None) -> None:
    sign = f"the sign {word!r} in the lexicon of {language}"
    whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
    if codes.ndim != 2 or 0 in codes.shape or not whole:
        kind = str(codes.dtype).removeprefix("torch.")
        raise UserError(f"{sign} holds {kind} {list(codes.shape)}, not whole numbers [K, P] as its codes; {REMEDY}")
    if codebooks is None:
        return
    if codes.shape[1] != len(codebooks):
        raise UserError(
            f"{sign} has codes of {codes.shape[1]} parts in place of {', '.join(codebooks)}: the lexicon was made by "
            f"another tokenizer: {REMEDY}"
        )
    lowest, highest = codes.amin(dim=0).tolist(), codes.amax(dim=0).tolist()
    for (part, size), low, high in zip(codebooks.items(), lowest, highest):
        if low < 0 or high >= size:
            raise UserError(
                f"{sign} has the code {low if low < 0 else high} for {part}, whose codebook ends at {size - 1}: the "
                f"lexicon was made by another tokenizer: {REMEDY}"
            )


def _thinned(codes: Tensor, steps: int) -> Tensor:
    if len(codes) <= steps:
        return codes
    return codes[torch.linspace(0, len(codes) - 1, steps).round().long()]
