"""SignVocabulary: one id space for tokens of text, sign languages and the codes of every stream."""
from __future__ import annotations

from typing import Mapping, Sequence

import torch
from torch import Tensor

from soke.errors import UserError
from soke.text.locales import canonical


class SignVocabulary:
    """Ids 0 .. text_size-1 are mBART's own; then N ids per sign language; then one block of codes per stream.

    text_size: rows of the language model's embedding table before it is extended
    languages: sign languages that can be generated, e.g. ASL
    streams:   name -> number of codes, in the order of the codes' last axis
    prompts:   N, tokens of each sign language: one for every decoder row (SOKE), or for every stream (M3T)
    """

    def __init__(self, text_size: int, languages: Sequence[str], streams: Mapping[str, int], prompts: int = 1):
        self.text_size, self.languages, self.streams = text_size, tuple(languages), dict(streams)
        self.prompts = prompts
        sizes = torch.tensor([0, *self.streams.values()])
        blocks = text_size + prompts * len(self.languages) + sizes.cumsum(0)
        self.first_codes: Tensor = blocks[:-1]  # [S] id of each stream's code 0
        self.size = int(blocks[-1])

    def language_ids(self, language: str) -> list[int]:
        """The N ids of a sign language's tokens. Raises UserError for a language that was not trained."""
        language = canonical(language)
        if language not in self.languages:
            raise UserError(f"unknown sign language {language!r}: this generator signs {', '.join(self.languages)}")
        first = self.text_size + self.prompts * self.languages.index(language)
        return list(range(first, first + self.prompts))

    def code_ids(self, codes: Tensor) -> Tensor:
        """Codes [..., S] -> ids [..., S]."""
        return codes + self.first_codes
