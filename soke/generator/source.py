"""SourceEncoder: a sentence and the signs retrieved for it as the ids that the language model's encoder reads."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import torch
from torch import Tensor

from soke.data.clip import TEXT_LOCALE
from soke.errors import UserError
from soke.generator.retrieval import Lexicon, marker
from soke.generator.vocabulary import SignVocabulary


class SourceEncoder:
    """Pieces of the text, then per retrieved sign its marker and its codes (parts interleaved), then end and locale.

    pieces:     a transformers tokenizer in mBART's format
    max_pieces: longer texts are cut
    """

    def __init__(self, pieces, vocabulary: SignVocabulary, lexicon: Lexicon, max_pieces: int = 256):
        self.pieces, self.vocabulary, self.lexicon, self.max_pieces = pieces, vocabulary, lexicon, max_pieces
        self._cache: dict[tuple[str, str], Tensor] = {}

    def encode(self, text: str, language: str) -> Tensor:
        """Ids [L]. Raises UserError for an empty text or an unknown language."""
        if (text, language) not in self._cache:
            self._cache[text, language] = self._encode(text, language)
        return self._cache[text, language]

    def batch(self, texts: Sequence[str], languages: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids [B, L], padded on the right, and the mask [B, L] that is 1 on real ids."""
        rows = [self.encode(text, language) for text, language in zip(texts, languages, strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pieces.pad_token_id)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()

    def _encode(self, text: str, language: str) -> Tensor:
        self.vocabulary.language_id(language)  # an unknown language ends here
        if not text.strip():
            raise UserError("the sentence is empty: there is nothing to sign")
        locale = TEXT_LOCALE[language]
        ids = self._text_ids(text)[: self.max_pieces]
        for number, codes in enumerate(self.lexicon.codes(text, language), start=1):
            ids += self._text_ids(marker(locale, number))
            ids += self.vocabulary.code_ids(codes).flatten().tolist()
        return torch.tensor([*ids, self.pieces.eos_token_id, self.pieces.convert_tokens_to_ids(locale)])

    def _text_ids(self, text: str) -> list[int]:
        return self.pieces(text, add_special_tokens=False)["input_ids"]


def load_pieces(folder: Path):
    """The text tokenizer of a folder in mBART's format. Raises UserError when files are missing."""
    from transformers import MBartTokenizer

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"no mBART in {folder}: put mbart-large-cc25's files there, or make a small one with "
            "`python -m prepare.small_mbart`"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "sentencepiece.bpe.model")):
        raise UserError(
            f"{folder} has neither tokenizer.json nor sentencepiece.bpe.model: download them with the model"
        )
    return MBartTokenizer.from_pretrained(str(folder), local_files_only=True)
