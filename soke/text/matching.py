"""Matchers: which entries of a lexicon are found in a sentence."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Protocol

from soke.text.lemmas import lookup_forms, without_clitics
from soke.text.spelling import WIDTHS
from soke.text.words import words_of

log = logging.getLogger(__name__)

_FEW_WORDS = 4  # of an entry, up to which every choice among their lemmas is looked up
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Words that the published lists leave out, as far as they are known, by locale.
_NEVER = {
    "en_XX": frozenset("you how what which where when need an am do he his my".split()),
    "zh_CN": frozenset("你 我 他 我们 了".split()),
}
PUBLISHED_ORDER = ("CSL", "DGS", "ASL")


@dataclass(frozen=True)
class Match:
    """An entry of the lexicon that was found for a sentence.

    language: sign language of the entry
    word:     the entry as the lexicon writes it
    surface:  the words of the sentence it was found for, as the matcher reads them
    how:      "word", "lemma", "similar", "substring", or "list" for one that a file of keywords names
    score:    0..1, below 1 only for similar words
    """

    language: str
    word: str
    surface: str
    how: str
    score: float = 1.0


class Matcher(Protocol):
    """Finds entries of a lexicon in sentences.

    words:   sign language -> entries
    locales: sign language -> locale of its entries and sentences; those of `words`, and perhaps others
    """

    def find(self, text: str, language: str) -> list[Match]:
        """All entries found, each once: the longest word first; after them similar ones, the nearest first.

        language: the sign language that the sentence is translated into
        """
        ...


class TokenMatcher:
    """Whole words of the sentence's own language: entries of several words, longest first, no word used twice.

    Case and width of letters do not matter; German umlauts may be spelled ae, oe, ue, ss on either side; where a word is not in the
    lexicon, its lemma is looked up (simplemma), in German also that of the noun with the same letters. Chinese is
    segmented by jieba, and an entry may span several segments. English we'll and teacher's are we and teacher, and
    can't is cannot, or can not, but never can.

    For each word that is left over, the nearest entry can be taken: the one with the highest Dice coefficient
    2 |A and B| / (|A| + |B|) of the two sets of n-grams, the first of the lexicon among equals. Words and entries
    shorter than four letters (Chinese: two characters) are too alike for that, and so are numbers.

    words:   sign language -> entries
    locales: sign language -> locale
    similar: lowest Dice coefficient of a nearest entry, above 0 and at most 1; 0 takes none
    """

    def __init__(self, words: Mapping[str, Iterable[str]], locales: Mapping[str, str], similar: float = 0.0):
        self.similar = similar
        self._words = {language: (tuple(entries), locales[language]) for language, entries in words.items()}
        self._indices: dict[str, _Index] = {}  # made when a language is asked for: its dictionary takes a second

    def find(self, text: str, language: str) -> list[Match]:
        if language not in self._words:
            return []
        index, read = self._index(language), self._read(text, language)
        exact = _first_of_each(match for match in read if isinstance(match, Match))
        left = [token for token in read if isinstance(token, str)]
        similar = [Match(language, word, token, "similar", score) for word, token, score in index.similar(left)]
        near = sorted((m for m in similar if m.score >= self.similar), key=lambda match: match.score, reverse=True)
        near = [match for match in _first_of_each(near).values() if match.word not in exact]
        return sorted(exact.values(), key=lambda match: len(match.word), reverse=True) + near

    def in_order(self, text: str, language: str) -> list[str | None]:
        """The entries that a sentence consists of, in its order and as often as they come; None for each word of none.

        language: one of `words`
        """
        return [match.word if isinstance(match, Match) else None for match in self._read(text, language)]

    def entry(self, word: str, language: str) -> str | None:
        """The entry that is a word, or a gloss, as a whole; None where there is none. language: one of `words`"""
        index = self._index(language)
        tokens = words_of(word, index.locale)
        return index.exact(tokens)[0] if tokens else None

    def _read(self, text: str, language: str) -> list[Match | str]:
        """A sentence's entries, and its words that are in none, in its order."""
        index = self._index(language)
        tokens = words_of(text, index.locale)
        read: list[Match | str | None] = list(tokens)
        free = [True] * len(tokens)
        for count in range(min(index.longest, len(tokens)), 0, -1):
            for start in range(len(tokens) - count + 1):
                span = slice(start, start + count)
                word, how = index.exact(tokens[span]) if all(free[span]) else (None, "")
                if word is not None:
                    free[span] = [False] * count
                    read[span] = [Match(language, word, index.joined(tokens[span]), how), *[None] * (count - 1)]
        return [match for match in read if match is not None]

    def _index(self, language: str) -> _Index:
        if language not in self._indices:
            index = self._indices[language] = _Index(*self._words[language], nearest=self.similar > 0)
            if index.lost:
                log.warning(
                    "%d entries of the lexicon of %s are found in no sentence, for they are without words, or others are "
                    "read as they are: %s", len(index.lost), language, ", ".join(map(repr, index.lost[:5])),
                )
        return self._indices[language]


class _Index:
    """The entries of one language, by what words of sentences are looked up as.

    longest: most words of an entry
    lost:    entries that no sentence holds: another one is read alike, or nothing is read of them
    nearest: whether similar entries can be asked for, too
    """

    def __init__(self, entries: Iterable[str], locale: str, nearest: bool):
        self.locale, self.longest = locale, 1
        self._lemmas: dict[str, str] = {}
        alike: dict[str, list[str]] = {}
        for word in entries:
            alike.setdefault(_key(words_of(word, locale), locale), []).append(word)
        self.lost = alike.pop("", [])
        # of entries that are read alike, one that holds nothing but what is read of it: c, and not c++
        self._entries = {key: min(own, key=lambda word: _key([word], locale) != key) for key, own in alike.items()}
        self.lost += [word for key, own in alike.items() for word in own if word != self._entries[key]]
        for word in self._entries.values():
            tokens = words_of(word, locale)
            self.longest = max(self.longest, len(word) if _is_chinese(locale) else len(tokens))
            for key in _lemma_keys(tokens, locale):
                self._lemmas.setdefault(key, word)
                self.longest = max(self.longest, key.count(" ") + 1)
        self._nearest = _NearestEntry(self._entries, locale) if nearest else None

    def joined(self, tokens: Sequence[str]) -> str:
        return ("" if _is_chinese(self.locale) else " ").join(tokens)

    def exact(self, tokens: Sequence[str]) -> tuple[str | None, str]:
        """The entry of these words, or else that of their lemmas, and which of both: "word" or "lemma"."""
        word = self._entries.get(_key(tokens, self.locale))
        if word is not None:
            return word, "word"
        keys = _lemma_keys(tokens, self.locale)
        return next((self._lemmas[key] for key in keys if key in self._lemmas), None), "lemma"

    def similar(self, tokens: Iterable[str]) -> Iterator[tuple[str, str, float]]:
        """(entry, word, score) of the nearest entry of each word that may have one."""
        for token in tokens if self._nearest is not None else ():
            token = without_clitics(token, self.locale)
            if token.isalpha() and len(token) >= _shortest(self.locale):
                word, score = self._nearest.find(_key([token], self.locale))
                if word is not None:
                    yield word, token, score


class _NearestEntry:
    """The entry whose key shares most n-grams with a word, found without comparing it with every entry.

    entries: key -> entry, all of one language
    """

    def __init__(self, entries: Mapping[str, str], locale: str):
        self._locale = locale
        self._words: list[str] = []
        self._sizes: list[int] = []  # number of n-grams of each entry
        self._holders: dict[str, list[int]] = {}  # n-gram -> entries that have it
        for key, word in entries.items():
            if len(word) < _shortest(locale):
                continue
            grams = _ngrams(key, locale)
            for gram in grams:
                self._holders.setdefault(gram, []).append(len(self._words))
            self._words.append(word)
            self._sizes.append(len(grams))

    def find(self, key: str) -> tuple[str | None, float]:
        """The nearest entry and its Dice coefficient; no entry and 0 where none shares an n-gram with the word."""
        grams = _ngrams(key, self._locale)
        shared = Counter(chain.from_iterable(self._holders.get(gram, ()) for gram in grams))
        best, best_score = -1, 0.0
        for entry, count in shared.items():
            score = 2 * count / (len(grams) + self._sizes[entry])
            if score > best_score or (score == best_score and entry < best):
                best, best_score = entry, score
        return (self._words[best], best_score) if shared else (None, 0.0)


class SubstringMatcher:
    """The published lists of SOKE: any entry, of any language, that is a part of the sentence as it is written.

    Entries of one letter are left out; Chinese sentences are searched by segments instead, single characters included;
    a few function words are never found. Noisy on purpose: 'time' is in 'zentimeter'.

    words:   sign language -> entries
    locales: sign language -> locale of the sentences that are translated into it
    """

    def __init__(self, words: Mapping[str, Iterable[str]], locales: Mapping[str, str]):
        self._locales = dict(locales)
        order = [*PUBLISHED_ORDER, *(language for language in words if language not in PUBLISHED_ORDER)]
        self._entries: dict[str, tuple[str, str]] = {}  # composed -> language, as the lexicon writes it
        for language in order:
            for word in words.get(language, ()):
                self._entries.setdefault(unicodedata.normalize("NFC", word), (language, word))
        self._words = sorted(self._entries, key=len, reverse=True)  # stable: the published order among equals

    def find(self, text: str, language: str) -> list[Match]:
        locale = self._locales.get(language, "")
        never = _NEVER.get(locale, frozenset())
        if _is_chinese(locale):
            segments = set(words_of(text, locale))
            found = [word for word in self._words if word in segments and word not in never]
        else:
            text = unicodedata.normalize("NFC", text)
            found = [word for word in self._words if len(word) > 1 and word in text and word not in never]
        return [Match(*self._entries[word], word, "substring") for word in found]


MATCHERS: dict[str, type[TokenMatcher] | type[SubstringMatcher]] = {
    "token": TokenMatcher, "soke_substring": SubstringMatcher,
}


def _first_of_each(matches: Iterable[Match]) -> dict[str, Match]:
    """{entry: the first match of it}, in the order of the matches."""
    first: dict[str, Match] = {}
    for match in matches:
        first.setdefault(match.word, match)
    return first


def _is_chinese(locale: str) -> bool:
    return locale == "zh_CN"


def _shortest(locale: str) -> int:
    """Letters of the shortest word, and of the shortest entry, that can be similar to another."""
    return 2 if _is_chinese(locale) else 4


def _ngrams(key: str, locale: str) -> set[str]:
    """Chinese: its characters and pairs of neighbours. Others: trigrams of the key after two blanks and before one, so
    that the beginning of a word counts for more than its ending, which is what inflection changes."""
    if _is_chinese(locale):
        return {*key, *(key[i : i + 2] for i in range(len(key) - 1))}
    padded = f"  {key} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _key(tokens: Sequence[str], locale: str) -> str:
    if _is_chinese(locale):
        return "".join(tokens).lower().translate(WIDTHS)
    key = " ".join(token.lower() for token in tokens).translate(WIDTHS)
    return key.translate(UMLAUTS) if locale == "de_DE" else key


def _lemma_keys(tokens: Sequence[str], locale: str) -> Iterable[str]:
    """The keys of every choice among the lemmas of each word; of the first ones alone where there are many words."""
    most = 2 if len(tokens) <= _FEW_WORDS else 1
    return (_key(choice, locale) for choice in product(*(lookup_forms(token, locale)[:most] for token in tokens)))
