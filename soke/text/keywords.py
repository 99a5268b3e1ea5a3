"""Which words of a lexicon a sentence holds, and the published files of such words, name2kws_{split}.json."""
from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, product
from typing import Protocol

from soke.text.locales import TEXT_LOCALE
from soke.text.words import words_of

_log = logging.getLogger(__name__)
# Languages whose words simplemma reduces to lemmas, by locale.
_LEMMAS = {"en_XX": "en", "de_DE": "de", "fr_XX": "fr", "it_IT": "it", "es_XX": "es", "tr_TR": "tr"}
_CLITICS = ("'s", "'ll", "'ve", "'re", "'d", "'m")  # English; what they stand for is looked up for no sign
_NEGATION = "n't"
_BEFORE_NEGATION = {"ca": "can", "wo": "will", "sha": "shall", "ai": "be"}  # can't, won't, shan't, ain't
_FEW_WORDS = 4  # of an entry, up to which every choice among their lemmas is looked up
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Words that the published lists leave out, as far as they are known.
_NEVER = {
    "ASL": frozenset("you how what which where when need an am do he his my".split()),
    "CSL": frozenset("你 我 他 我们 了".split()),
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
    """Finds lexicon words in sentences."""

    def find(self, text: str, language: str) -> list[Match]:
        """All entries found, each once: the longest word first; after them similar ones, the nearest first."""
        ...


class TokenMatcher:
    """Whole words of the sentence's own language: entries of several words, longest first, no word used twice.

    Case does not matter; German umlauts may be spelled ae, oe, ue, ss on either side; where a word is not in the
    lexicon, its lemma is looked up (simplemma), in German also that of the noun with the same letters. Chinese is
    segmented by jieba, and an entry may span several segments. English we'll and teacher's are we and teacher, and
    can't is cannot, or can not, but never can.

    For each word that is left over, the nearest entry can be taken: the one with the highest Dice coefficient
    2 |A and B| / (|A| + |B|) of the two sets of n-grams, the first of the lexicon among equals. Words and entries
    shorter than four letters (Chinese: two characters) are too alike for that, and so are numbers.

    words:   sign language -> entries
    similar: lowest Dice coefficient of a nearest entry, above 0 and at most 1; 0 takes none
    """

    def __init__(self, words: Mapping[str, Iterable[str]], similar: float = 0.0):
        self.similar = similar
        self._entries: dict[str, dict[str, str]] = {}
        self._lemmas: dict[str, dict[str, str]] = {}
        self._longest: dict[str, int] = {}
        self._nearest: dict[str, _NearestEntry] = {}
        for language, entries in words.items():
            known, lemmas, longest = {}, {}, 1
            for word in entries:
                tokens = words_of(word, language)
                known.setdefault(_key(tokens, language), word)
                longest = max(longest, len(word) if _is_chinese(language) else len(tokens))
                for key in _lemma_keys(tokens, language):
                    lemmas.setdefault(key, word)
                    longest = max(longest, key.count(" ") + 1)
            self._entries[language], self._lemmas[language], self._longest[language] = known, lemmas, longest
            if similar > 0:
                self._nearest[language] = _NearestEntry(known, language)

    def find(self, text: str, language: str) -> list[Match]:
        tokens = words_of(text, language)
        free = [True] * len(tokens)
        found: dict[int, Match] = {}  # by position in the sentence
        for count in range(min(self._longest.get(language, 0), len(tokens)), 0, -1):
            for start in range(len(tokens) - count + 1):
                span = slice(start, start + count)
                match = self._exact(tokens[span], language) if all(free[span]) else None
                if match is not None:
                    free[span] = [False] * count
                    found[start] = match
        exact = _first_of_each(found[start] for start in sorted(found))
        left = [token for token, unused in zip(tokens, free) if unused]
        similar = [match for match in self._similar(left, language) if match.word not in exact]
        return sorted(exact.values(), key=lambda match: len(match.word), reverse=True) + similar

    def _exact(self, tokens: Sequence[str], language: str) -> Match | None:
        word, how = self._entries[language].get(_key(tokens, language)), "word"
        if word is None:
            lemmas, how = self._lemmas[language], "lemma"
            word = next((lemmas[key] for key in _lemma_keys(tokens, language) if key in lemmas), None)
        if word is None:
            return None
        return Match(language, word, ("" if _is_chinese(language) else " ").join(tokens), how)

    def _similar(self, tokens: Sequence[str], language: str) -> list[Match]:
        """The nearest entries that are near enough, each for the word nearest to it, in descending order of score."""
        if language not in self._nearest:
            return []
        near = []
        for token in tokens:
            token = _without_clitics(token, language)
            if not token.isalpha() or len(token) < _shortest(language):
                continue
            word, score = self._nearest[language].find(_key([token], language))
            if word is not None and score >= self.similar:
                near.append(Match(language, word, token, "similar", score))
        near.sort(key=lambda match: match.score, reverse=True)
        return list(_first_of_each(near).values())


class _NearestEntry:
    """The entry whose key shares most n-grams with a word, found without comparing it with every entry.

    entries: key -> entry, all of one language
    """

    def __init__(self, entries: Mapping[str, str], language: str):
        self._language = language
        self._words: list[str] = []
        self._sizes: list[int] = []  # number of n-grams of each entry
        self._holders: dict[str, list[int]] = {}  # n-gram -> entries that have it
        for key, word in entries.items():
            if len(word) < _shortest(language):
                continue
            grams = _ngrams(key, language)
            for gram in grams:
                self._holders.setdefault(gram, []).append(len(self._words))
            self._words.append(word)
            self._sizes.append(len(grams))

    def find(self, key: str) -> tuple[str | None, float]:
        """The nearest entry and its Dice coefficient; no entry and 0 where none shares an n-gram with the word."""
        grams = _ngrams(key, self._language)
        shared = Counter(chain.from_iterable(self._holders.get(gram, ()) for gram in grams))
        best, best_score = -1, 0.0
        for entry, count in shared.items():
            score = 2 * count / (len(grams) + self._sizes[entry])
            if score > best_score or (score == best_score and entry < best):
                best, best_score = entry, score
        return (self._words[best], best_score) if shared else (None, 0.0)


class SubstringMatcher:
    """The published lists of SOKE: any entry, of any language, that is a piece of the sentence as it is written.

    Entries of one letter are left out; Chinese sentences are searched by segments instead, single characters included;
    a few function words are never found. Noisy on purpose: 'time' is in 'zentimeter'.
    """

    def __init__(self, words: Mapping[str, Iterable[str]]):
        order = [*PUBLISHED_ORDER, *(language for language in words if language not in PUBLISHED_ORDER)]
        self._entries: dict[str, tuple[str, str]] = {}  # composed -> language, as the lexicon writes it
        for language in order:
            for word in words.get(language, ()):
                self._entries.setdefault(unicodedata.normalize("NFC", word), (language, word))
        self._words = sorted(self._entries, key=len, reverse=True)  # stable: the published order among equals

    def find(self, text: str, language: str) -> list[Match]:
        never = _NEVER.get(language, frozenset())
        if _is_chinese(language):
            segments = set(words_of(text, language))
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


def _is_chinese(language: str) -> bool:
    return TEXT_LOCALE.get(language) == "zh_CN"


def _shortest(language: str) -> int:
    """Letters of the shortest word, and of the shortest entry, that can be similar to another."""
    return 2 if _is_chinese(language) else 4


def _ngrams(key: str, language: str) -> set[str]:
    """Chinese: its characters and pairs of neighbours. Others: trigrams of the key after two blanks and before one, so
    that the beginning of a word counts for more than its ending, which is what inflection changes."""
    if _is_chinese(language):
        return {*key, *(key[i : i + 2] for i in range(len(key) - 1))}
    padded = f"  {key} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _key(tokens: Sequence[str], language: str) -> str:
    if _is_chinese(language):
        return "".join(tokens)
    key = " ".join(token.lower() for token in tokens)
    return key.translate(UMLAUTS) if TEXT_LOCALE.get(language) == "de_DE" else key


def _lemma_keys(tokens: Sequence[str], language: str) -> Iterable[str]:
    """The keys of every choice among the lemmas of each word; of the first ones alone where there are many words."""
    most = 2 if len(tokens) <= _FEW_WORDS else 1
    return (_key(choice, language) for choice in product(*(_lemmas_of(token, language)[:most] for token in tokens)))


@lru_cache(maxsize=100_000)
def _lemmas_of(token: str, language: str) -> tuple[str, ...]:
    """What a word may be looked up as: its lemma; in German the noun's, which is capitalised, too; English cannot for
    can not and the other way round."""
    lemmas = [lemma(token, language)]
    if TEXT_LOCALE.get(language) == "de_DE":
        lemmas.append(lemma(token.capitalize(), language))
    if lemmas[0] == "can not":
        lemmas.append("cannot")
    return tuple(dict.fromkeys(lemmas))


def lemma(token: str, language: str) -> str:
    """The lower-cased lemma of a word that is translated into a sign language; the word itself where there is none.

    That of an English contraction is its verb's and not (don't: do not), or its first word's (we'll: we).
    """
    locale = TEXT_LOCALE.get(language, "")
    if locale == "en_XX":
        token = _without_clitics(token, language)
        if token == "cannot":
            return "can not"
        if token.endswith(_NEGATION) and token != _NEGATION:
            verb = token.removesuffix(_NEGATION)
            return f"{_dictionary_form(_BEFORE_NEGATION.get(verb, verb), 'en')} not"
    return _dictionary_form(token, _LEMMAS[locale]) if locale in _LEMMAS else token


@lru_cache(maxsize=100_000)
def _dictionary_form(token: str, language: str) -> str:
    import simplemma

    return simplemma.lemmatize(token, lang=language).lower()


def _without_clitics(token: str, language: str) -> str:
    """An English word without 's, 'll and the like at its end."""
    if TEXT_LOCALE.get(language) != "en_XX":
        return token
    while (bare := next((token.removesuffix(c) for c in _CLITICS if token.endswith(c)), "")):
        token = bare
    return token
