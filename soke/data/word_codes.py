"""Tables of words: the codes of isolated signs, a table per sign language, or all in one as SOKE publishes them."""
from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from soke.data.codes import REMEDY
from soke.errors import UserError
from soke.storage import read_json, write_json
from soke.text.spelling import spelled

_CHINESE = re.compile("[\u3400-\u9fff]")
_log = logging.getLogger(__name__)


def write_word_codes(path: Path, words: Mapping[str, Tensor], streams: Sequence[str]) -> None:
    """Store {word: codes [K, S]} in the published form, {word: {stream: [K numbers]}}."""
    write_json(path, {word: dict(zip(streams, codes.t().tolist(), strict=True)) for word, codes in words.items()})


def read_word_codes(path: Path, streams: Sequence[str], remedy: str = REMEDY) -> dict[str, Tensor]:
    """{word: codes [K, S] int64}, S in the order of `streams`; the inverse of `write_word_codes`.

    Raises UserError that names the file, the word that lacks a stream or whose streams differ in length, and a remedy.
    """
    words = {}
    for word, numbers in read_json(path, remedy).items():
        try:
            words[spelled(word)] = parsed_codes(numbers, streams)
        except ValueError as error:
            raise UserError(f"{path}: word {word!r} {error}; {remedy}") from error
    return words


def parsed_codes(numbers: Mapping[str, Sequence[int]], streams: Sequence[str]) -> Tensor:
    """Codes [K, S] int64 of {stream: [K numbers]}. Raises ValueError that says what of it is missing."""
    try:
        codes = torch.tensor([numbers[stream] for stream in streams])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # torch raises RuntimeError for a null
        raise ValueError(f"lacks codes of equal length for {', '.join(streams)}") from error
    if codes.ndim != 2 or codes.dtype != torch.int64 or codes.shape[1] == 0:
        raise ValueError("does not have lists of whole numbers")
    return codes.t().contiguous()


def write_published_word_codes(path: Path, words: Mapping[str, Mapping[str, Tensor]], streams: Sequence[str]) -> None:
    """Store {language: {word: codes [K, S]}} as one table, SOKE's word2code.json: CSL first, then DGS, then ASL.

    A word of two languages keeps the codes of the first.
    """
    order = [*(lang for lang in ("CSL", "DGS", "ASL") if lang in words), *sorted(set(words) - {"CSL", "DGS", "ASL"})]
    table: dict[str, Tensor] = {}
    for language in order:
        for word, codes in words[language].items():
            table.setdefault(word, codes)
    lost = sum(map(len, words.values())) - len(table)
    if lost:
        _log.info("%d words occur in two languages; %s holds the first", lost, path)
    write_word_codes(path, table, streams)


def read_published_word_codes(
    path: Path, streams: Sequence[str], german: Collection[str], remedy: str = REMEDY
) -> dict[str, dict[str, Tensor]]:
    """{language: {word: codes [K, S]}} of SOKE's word2code.json, which does not say what language a word is of.

    Words with a Chinese character are CSL, those among `german` (the lower-cased glosses of Phoenix-2014T) DGS, others
    ASL. Raises UserError as `read_word_codes` does.
    """
    words: dict[str, dict[str, Tensor]] = {"CSL": {}, "DGS": {}, "ASL": {}}
    for word, codes in read_word_codes(path, streams, remedy).items():
        language = "CSL" if _CHINESE.search(word) else "DGS" if word in german else "ASL"
        words[language][word] = codes
    return words
