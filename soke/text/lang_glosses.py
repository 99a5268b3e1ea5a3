"""LangGloss: glosses that name their sign language, `ASL_When`, so that one vocabulary holds those of all (SignLLM)."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from soke.errors import UserError
from soke.text.words import Level, level_of, written_words

PADDING, END = range(2)
_SPECIALS = ("<pad>", "</s>")
_OF_EACH = ("<s>", "<unk>")  # of every language, before its words


@dataclass(frozen=True)
class LangGlosses:
    """The vocabulary: padding, the end, then of every sign language its beginning, its unknown word and its words.

    A word of two languages is two tokens. A language that comes after the others leaves their ids as they are.

    levels: sign language -> how sentences without glosses are cut into words
    words:  the same languages -> their words

    Raises ValueError for a word that comes twice in its language, and for other languages in one than in the other.
    """

    levels: dict[str, Level]
    words: dict[str, list[str]]

    def __post_init__(self) -> None:
        if list(self.levels) != list(self.words):
            raise ValueError(f"levels are of {', '.join(self.levels)}, but words of {', '.join(self.words)}")
        for language, words in self.words.items():
            if len({*words, *_OF_EACH}) != len(words) + len(_OF_EACH):
                raise ValueError(f"the words of {language} must differ from each other and from {', '.join(_OF_EACH)}")

    @classmethod
    def of(cls, sentences: Sequence[tuple[str, str, str | None]]) -> LangGlosses:
        """Of training sentences: (sign language, text, glosses or None). The frequent words come before the rare, equals
        in alphabetical order."""
        languages = list(dict.fromkeys(language for language, _, _ in sentences))
        levels = {name: level_of(text for language, text, _ in sentences if language == name) for name in languages}
        counts = {name: Counter[str]() for name in languages}
        for language, text, gloss in sentences:
            counts[language].update(_words(text, gloss, levels[language]))
        words = {
            name: sorted(set(own).difference(_OF_EACH), key=lambda word: (-own[word], word))
            for name, own in counts.items()
        }
        return cls(levels, words)

    def following(self, earlier: LangGlosses) -> LangGlosses:
        """With the languages and the words of an earlier one, behind which new ones come."""
        languages = dict.fromkeys([*earlier.words, *self.words])
        words = {name: [*dict.fromkeys([*earlier.words.get(name, []), *self.words.get(name, [])])] for name in languages}
        return LangGlosses({name: earlier.levels.get(name) or self.levels[name] for name in languages}, words)

    def shared(self, other: LangGlosses) -> tuple[list[int], list[int]]:
        """Ids of what both have, here and in the other."""
        theirs = {token: number for number, token in enumerate(other._tokens)}
        ours = [number for number, token in enumerate(self._tokens) if token in theirs]
        return ours, [theirs[self._tokens[number]] for number in ours]

    def __len__(self) -> int:
        return len(self._tokens)

    def beginning(self, language: str) -> int:
        """What the decoder reads first. Raises UserError for a language that there is not."""
        if language not in self._starts:
            raise UserError(f"there are no glosses of {language}, but of {', '.join(self.words)}")
        return self._starts[language]

    def unknown(self, language: str) -> int:
        return self.beginning(language) + 1

    def words_of(self, language: str) -> range:
        """Ids of the language's known words."""
        start = self.beginning(language) + len(_OF_EACH)
        return range(start, start + len(self.words[language]))

    def ids(self, language: str, text: str, gloss: str | None) -> list[int]:
        """What is to be written of a sentence, without beginning and end: its glosses, or the words of its text."""
        unknown = self.unknown(language)
        return [self._ids.get((language, word), unknown) for word in _words(text, gloss, self.levels[language])]

    def written(self, language: str, text: str, gloss: str | None) -> list[str]:
        """The tokens of a sentence, those too that are no part of the vocabulary."""
        return [f"{language}_{word}" for word in _words(text, gloss, self.levels[language])]

    def tokens_of(self, ids: Iterable[int]) -> list[str]:
        return [self._tokens[i] for i in ids]

    @cached_property
    def _starts(self) -> dict[str, int]:
        sizes = (len(_OF_EACH) + len(words) for words in self.words.values())
        return dict(zip(self.words, accumulate(sizes, initial=len(_SPECIALS))))

    @cached_property
    def _ids(self) -> dict[tuple[str, str], int]:
        return {
            (language, word): i for language, words in self.words.items()
            for i, word in zip(self.words_of(language), words)
        }

    @cached_property
    def _tokens(self) -> list[str]:
        of_languages = (
            f"{language}_{word}" for language, words in self.words.items() for word in (*_OF_EACH, *words)
        )
        return [*_SPECIALS, *of_languages]


def _words(text: str, gloss: str | None, level: Level) -> list[str]:
    """As the corpus writes them (SignLLM, supplement of 2023: the original gloss, or the original text)."""
    return gloss.split() if gloss else written_words(text, level)
