"""Vocabularies of back-translation: the tokens of training sentences and glosses, and their ids."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import ClassVar

from typing_extensions import Self


class Vocabulary:
    """Specials, then the tokens of training sentences, the frequent before the rare, equals in alphabetical order
    (Sign Language Transformers). Raises ValueError for a token that comes twice or is a special.

    tokens: without the specials
    """

    SPECIALS: ClassVar[tuple[str, ...]]
    UNKNOWN: ClassVar[int]

    def __init__(self, tokens: Iterable[str]):
        self.tokens = tuple(tokens)
        self._all = (*self.SPECIALS, *self.tokens)
        if len(set(self._all)) != len(self._all):
            raise ValueError("the tokens of a vocabulary must differ from each other and from its specials")
        self._ids = {token: i for i, token in enumerate(self._all) if i >= len(self.SPECIALS)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> Self:
        """Every token of the sentences, but for those that are written like a special."""
        counts = Counter(token for token in chain.from_iterable(sentences) if token not in cls.SPECIALS)
        return cls(sorted(counts, key=lambda token: (-counts[token], token)))

    def with_new(self, tokens: Iterable[str]) -> Self:
        """With these tokens behind its own, so far as they are new; its own keep their ids."""
        return type(self)(dict.fromkeys([*self.tokens, *tokens]))

    def shared(self, other: Vocabulary) -> tuple[list[int], list[int]]:
        """Ids of the specials and of the tokens that both have, here and in the other."""
        tokens = [token for token in self.tokens if token in other._ids]
        specials = list(range(len(self.SPECIALS)))
        return [*specials, *self.ids(tokens)], [*specials, *other.ids(tokens)]

    def __len__(self) -> int:
        return len(self._all)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        return [self._ids.get(token, self.UNKNOWN) for token in tokens]

    def tokens_of(self, ids: Iterable[int]) -> list[str]:
        return [self._all[i] for i in ids]


class TextVocabulary(Vocabulary):
    """Tokens that the decoder writes; those after `END` are words."""

    SPECIALS = ("<unk>", "<pad>", "<s>", "</s>")
    UNKNOWN, PADDING, BEGIN, END = range(4)


class GlossVocabulary(Vocabulary):
    """Glosses that the encoder's frames are labelled with; `BLANK` is CTC's."""

    SPECIALS = ("<si>", "<unk>", "<pad>")
    BLANK, UNKNOWN, PADDING = range(3)
