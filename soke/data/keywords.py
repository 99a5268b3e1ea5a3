"""Which words of a lexicon a sentence holds, and the published files of such words, name2kws_{split}.json."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from soke.data.clip import TEXT_LOCALE
from soke.data.words import words_of
from soke.errors import UserError
from soke.storage import new_file

# Languages whose words simplemma reduces to lemmas, by locale.
_LEMMAS = {"en_XX": "en", "de_DE": "de", "fr_XX": "fr", "it_IT": "it", "es_XX": "es", "tr_TR": "tr"}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Words that the published lists leave out, as far as they are known.
_NEVER = {
    "ASL": frozenset("you how what which where when need an am do he his my".split()),
    "CSL": frozenset("你 我 他 我们 了".split()),
}
_PUBLISHED_ORDER = ("CSL", "DGS", "ASL")

Sign = tuple[str, str]  # sign language, word as the lexicon writes it


class Matcher(Protocol):
    """Finds lexicon words in sentences."""

    def find(self, text: str, language: str) -> list[Sign]:
        """All signs found, the longest word first."""
        ...


class TokenMatcher:
    """Whole words of the sentence's own language: entries of several words, longest first, no word used twice.

    Case does not matter; German umlauts may be spelled ae, oe, ue, ss on either side; where a word is not in the
    lexicon, its lemma is looked up (simplemma). Chinese is segmented by jieba, and an entry may span several segments.

    words: sign language -> entries
    """

    def __init__(self, words: Mapping[str, Iterable[str]]):
        self._entries: dict[str, dict[str, str]] = {}
        self._lemmas: dict[str, dict[str, str]] = {}
        self._longest: dict[str, int] = {}
        for language, entries in words.items():
            known, lemmas, longest = {}, {}, 1
            for word in entries:
                tokens = words_of(word, language)
                known.setdefault(_key(tokens, language), word)
                lemmas.setdefault(_key([_lemma(t, language) for t in tokens], language), word)
                longest = max(longest, len(word) if TEXT_LOCALE.get(language) == "zh_CN" else len(tokens))
            self._entries[language], self._lemmas[language], self._longest[language] = known, lemmas, longest

    def find(self, text: str, language: str) -> list[Sign]:
        tokens = words_of(text, language)
        known, lemmas = self._entries.get(language, {}), self._lemmas.get(language, {})
        free = [True] * len(tokens)
        found: dict[int, str] = {}  # position in the sentence -> word
        for count in range(min(self._longest.get(language, 0), len(tokens)), 0, -1):
            for start in range(len(tokens) - count + 1):
                span = slice(start, start + count)
                if not all(free[span]):
                    continue
                word = known.get(_key(tokens[span], language))
                if word is None:
                    word = lemmas.get(_key([_lemma(t, language) for t in tokens[span]], language))
                if word is not None:
                    free[span] = [False] * count
                    found[start] = word
        words = dict.fromkeys(found[start] for start in sorted(found))
        return [(language, word) for word in sorted(words, key=len, reverse=True)]


class SubstringMatcher:
    """The published lists of SOKE: any entry, of any language, that is a piece of the sentence as it is written.

    Entries of one letter are left out; Chinese sentences are searched by segments instead, single characters included;
    a few function words are never found. Noisy on purpose: 'time' is in 'zentimeter'.
    """

    def __init__(self, words: Mapping[str, Iterable[str]]):
        order = [*_PUBLISHED_ORDER, *(language for language in words if language not in _PUBLISHED_ORDER)]
        self._languages: dict[str, str] = {}
        for language in order:
            for word in words.get(language, ()):
                self._languages.setdefault(word, language)
        self._words = sorted(self._languages, key=len, reverse=True)  # stable: the published order among equals

    def find(self, text: str, language: str) -> list[Sign]:
        never = _NEVER.get(language, frozenset())
        if TEXT_LOCALE.get(language) == "zh_CN":
            segments = set(words_of(text, language))
            found = [word for word in self._words if word in segments and word not in never]
        else:
            found = [word for word in self._words if len(word) > 1 and word in text and word not in never]
        return [(self._languages[word], word) for word in found]


MATCHERS: dict[str, type[TokenMatcher] | type[SubstringMatcher]] = {
    "token": TokenMatcher, "soke_substring": SubstringMatcher,
}  # fmt: skip


def write_keywords(path: Path, keywords: Mapping[str, Sequence[str]]) -> None:
    """Write {clip name: words} in the published form of name2kws_{split}.json."""
    with new_file(path) as temporary:
        content = {name: list(words) for name, words in keywords.items()}
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_keywords(path: Path) -> dict[str, list[str]]:
    """{clip name: words, the longest first}. Raises UserError that names the file, and the clip without a list."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}; make it with `python -m prepare.keywords`") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a table of clips; make it with `python -m prepare.keywords`")
    for name, words in content.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UserError(f"{path}: clip {name} has no list of words; make it with `python -m prepare.keywords`")
    return content


def _key(tokens: Sequence[str], language: str) -> str:
    if TEXT_LOCALE.get(language) == "zh_CN":
        return "".join(tokens)
    key = " ".join(token.lower() for token in tokens)
    return key.translate(_UMLAUTS) if TEXT_LOCALE.get(language) == "de_DE" else key


@lru_cache(maxsize=100_000)
def _lemma(token: str, language: str) -> str:
    lemmas = _LEMMAS.get(TEXT_LOCALE.get(language, ""))
    if lemmas is None:
        return token
    import simplemma

    return simplemma.lemmatize(token, lang=lemmas).lower()
