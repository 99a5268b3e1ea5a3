"""Retrieval: signs of an external lexicon that occur in a sentence (SOKE, section 3.4)."""
from __future__ import annotations

from typing import Mapping, Sequence

import torch
from torch import Tensor

from soke.data.clip import Clip
from soke.data.codes import REMEDY
from soke.data.recordings import Recording, ranked
from soke.errors import UserError
from soke.generator.settings import Retrieval
from soke.text.locales import TEXT_LOCALE, completed
from soke.text.matching import MATCHERS, PUBLISHED_ORDER, Match, TokenMatcher

Signs = Mapping[str, Mapping[str, Sequence[Recording]]]  # sign language -> word -> its recordings
Keywords = Mapping[str, Mapping[str, Sequence[str]]]  # split -> clip name -> words of its sentence

# How the encoder's text announces the i-th retrieved sign, by the locale of the text; English where none is published.
MARKERS = {"en_XX": "Key word {}, ", "zh_CN": "关键词 {}, ", "de_DE": "Schlüsselwort {}, "}


def marker(locale: str, number: int) -> str:
    """The words before the retrieved sign `number`, counted from 1."""
    return MARKERS.get(locale, MARKERS["en_XX"]).format(number)


class Retriever:
    """Codes of isolated signs per sign language, found in sentences.

    signs:     sign language -> word -> recordings
    settings:  `words`: at most so many signs per sentence, the longest words first; `steps`: longer signs are evenly
               thinned to so many codes; `match`: name in `MATCHERS`; `similar`: lowest score, up to 1, of an entry for
               a word that is in no entry, see `TokenMatcher`, 0 takes none; `recording`: see `ranked`
    keywords:  split -> clip name -> the words of its sentence, which then are taken in place of those that would be
               found, as far as there are signs of them
    streams:   name -> number of codes, in the order of the codes' last axis; None does not check codes by it
    locales:   sign language -> locale of its words and sentences, see `completed` for those that it lacks

    What is looked up for the sentence of a corpus's clip is never cut from this clip: another recording of the word is
    taken, or the word is left out.

    Raises UserError for a sign whose codes are malformed or in no codebook.
    """

    def __init__(
        self, signs: Signs, settings: Retrieval, keywords: Keywords | None = None, *,
        streams: Mapping[str, int] | None = None, locales: Mapping[str, str] = TEXT_LOCALE,
    ):
        for language, entries in signs.items():
            for word, recordings in entries.items():
                for sign in recordings:
                    _check(language, word, sign.codes, streams)
        self.words, self.steps = settings.words, settings.steps
        similar, locales = settings.similar, completed([*signs, *locales], locales)
        self.matcher = TokenMatcher(signs, locales, similar) if similar else MATCHERS[settings.match](signs, locales)
        self.recordings: dict[str, dict[str, list[Recording]]] = {
            language: {word: ranked(recordings, settings.recording) for word, recordings in entries.items()}
            for language, entries in signs.items()
        }
        self.keywords = keywords or {}

    def matches(self, text: str, language: str, clip: Clip | None = None) -> list[Match]:
        """The first `words` entries found in `text`, which is the sentence of `clip` where that is given: exact ones,
        longest first, in order of appearance among equals; then similar ones, the nearest first. Or the first ones of
        the list that the clip has."""
        entries = self.entries(text, language, clip)
        return [match for match in entries if self.recording(match, clip) is not None][: self.words]

    def entries(self, text: str, language: str, clip: Clip | None = None) -> list[Match]:
        """All that `matches` chooses from, and what has no recording but those cut from `clip`."""
        listed = self.listed(clip)
        return self.matcher.find(text, language) if listed is None else listed

    def find(self, text: str, language: str) -> list[str]:
        """The words of `matches`."""
        return [match.word for match in self.matches(text, language)]

    def recording(self, match: Match, clip: Clip | None = None) -> Recording | None:
        """The recording that is taken for a sign that was found; None where all are cut from `clip`."""
        recordings = self.recordings[match.language][match.word]
        return next((r for r in recordings if clip is None or not r.is_cut_from(clip)), None)

    def codes(self, match: Match, clip: Clip | None = None) -> Tensor:
        """The codes [K, S], K <= steps, of a sign that was found for this clip."""
        return _thinned(self.recording(match, clip).codes, self.steps)

    def listed(self, clip: Clip | None) -> list[Match] | None:
        """The entries for the words of a clip's list; None where it has no list."""
        words = None if clip is None else self.keywords.get(clip.split, {}).get(clip.name)
        if words is None:
            return None
        order = dict.fromkeys([clip.language, *PUBLISHED_ORDER, *self.recordings])
        found = []
        for word in dict.fromkeys(words):
            language = next((name for name in order if word in self.recordings.get(name, {})), None)
            if language is not None:
                found.append(Match(language, word, word, "list"))
        return found


def explained(lexicon: Retriever, text: str, language: str, clip: Clip | None = None) -> str:
    """What is retrieved for a sentence, that of `clip` where it is given, for people: a line per sign, or one sentence
    that says why there is none."""
    if not lexicon.words:
        return "no sign is retrieved: this generator was trained without retrieval"
    matches = lexicon.matches(text, language, clip)
    if matches:
        return "\n".join(described(lexicon, match, clip) for match in matches)
    if lexicon.entries(text, language, clip):
        return f"no sign is retrieved: those of the sentence's words are all cut from clip {clip.name}"
    if lexicon.listed(clip) is not None:
        return f"no sign is retrieved: the list of clip {clip.name} names no word of the lexicon"
    if not lexicon.recordings.get(language):
        return f"no sign is retrieved: the lexicon has no signs of {language}"
    return f"no sign is retrieved: no word of the sentence is in the lexicon of {language}"


def described(lexicon: Retriever, match: Match, clip: Clip | None = None) -> str:
    """A sign that was found for a sentence, in a line for people."""
    how = f"{match.how} {match.score:.2f}" if match.how == "similar" else match.how
    recording = lexicon.recording(match, clip)
    kept, recorded = len(lexicon.codes(match, clip)), len(recording.codes)
    count = f"{recorded}" if kept == recorded else f"{kept} of {recorded}"
    unit = "step" if recorded == 1 else "steps"
    return f'"{match.surface}" -> {match.word} ({match.language}, {how}, recording {recording.name}, {count} {unit})'


def _check(language: str, word: str, codes: Tensor, streams: Mapping[str, int] | None) -> None:
    sign = f"the sign {word!r} in the lexicon of {language}"
    whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
    if codes.ndim != 2 or 0 in codes.shape or not whole:
        kind = str(codes.dtype).removeprefix("torch.")
        raise UserError(f"{sign} holds {kind} {list(codes.shape)}, not whole numbers [K, S] as its codes; {REMEDY}")
    if streams is None:
        return
    if codes.shape[1] != len(streams):
        raise UserError(
            f"{sign} has codes of {codes.shape[1]} streams in place of {', '.join(streams)}: the lexicon was made by "
            f"another tokenizer: {REMEDY}"
        )
    lowest, highest = codes.amin(dim=0).tolist(), codes.amax(dim=0).tolist()
    for (stream, size), low, high in zip(streams.items(), lowest, highest):
        if low < 0 or high >= size:
            raise UserError(
                f"{sign} has the code {low if low < 0 else high} for {stream}, whose codes end at {size - 1}: the "
                f"lexicon was made by another tokenizer: {REMEDY}"
            )


def _thinned(codes: Tensor, steps: int) -> Tensor:
    if len(codes) <= steps:
        return codes
    return codes[torch.linspace(0, len(codes) - 1, steps).round().long()]
