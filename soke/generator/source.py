"""SourceEncoder: a sentence and the signs retrieved for it as what the language model's encoder reads."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip
from soke.errors import UserError
from soke.generator.retrieval import Retriever, marker
from soke.generator.schemes import ABSENT, IGNORE
from soke.generator.sign_vocabulary import SignVocabulary
from soke.generator.text_tokenizer import TextTokenizer
from soke.text.locales import canonical
from soke.text.spelling import spelled

log = logging.getLogger(__name__)

FORMS = ("interleaved", "fused")  # how a retrieved sign's codes enter: an id each as published, or fused per time step
_REMEMBERED = 65_536  # sentences; How2Sign, CSL-Daily and Phoenix-2014T have some 57,000 to train on
_SPACE = "▁"  # the token that sentencepiece writes for a blank
_CHINESE = re.compile("[\u3400-\u9fff]+")


@dataclass(frozen=True)
class Source:
    """What the encoder reads, padded on the right.

    ids:   [B, L]
    mask:  [B, L], 1 where there is something
    codes: [B, L, S] that stand, fused, where a time step of a sign is read in place of an id, elsewhere ABSENT
    """

    ids: Tensor
    mask: Tensor
    codes: Tensor


class SourceEncoder:
    """Tokens of the text, then per retrieved sign its marker and its codes, then end and locale.

    text_tokenizer: of an mBART
    locales:        sign language -> locale of its sentences
    max_tokens:     longer texts are cut, with a warning
    form:           of the signs' codes, see `FORMS`
    """

    def __init__(
        self, text_tokenizer: TextTokenizer, vocabulary: SignVocabulary, lexicon: Retriever,
        locales: Mapping[str, str], max_tokens: int = 256, form: str = "interleaved",
    ):
        self.text_tokenizer, self.vocabulary, self.lexicon = text_tokenizer, vocabulary, lexicon
        self.locales, self.max_tokens, self.form = locales, max_tokens, form
        self._read: OrderedDict[tuple, list[int]] = OrderedDict()  # the latest last
        self._retrieved: OrderedDict[tuple, list[Tensor]] = OrderedDict()
        self._markers: dict[tuple[str, int], list[int]] = {}
        self._control = frozenset(text_tokenizer.all_special_ids)  # which no text holds, whatever is written in it
        self._missing: set[str] = set()  # signs that are known to be in no token

    def length(self, text: str, language: str, clip: Clip | None = None) -> int:
        """Positions that the sentence takes with all its signs."""
        return len(self._rows(text, language, clip, 0.0)[0])

    def batch(
        self, texts: Sequence[str], languages: Sequence[str], clips: Sequence[Clip | None] | None = None,
        drop: float = 0.0,
    ) -> Source:
        """clips: whose sentences these are, for the signs that are retrieved, see `Retriever`; None: nobody's
        drop:  probability with which each retrieved sign is left out

        Raises UserError for a text that is empty or all unknown to the text tokenizer, and for an unknown language.
        """
        of = [None] * len(texts) if clips is None else clips
        rows = [self._rows(*sentence, drop) for sentence in zip(texts, languages, of, strict=True)]
        ids = pad_sequence([row[0] for row in rows], batch_first=True, padding_value=self.text_tokenizer.pad_token_id)
        codes = pad_sequence([row[1] for row in rows], batch_first=True, padding_value=ABSENT)
        lengths = torch.tensor([len(row[0]) for row in rows])
        return Source(ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long(), codes)

    def targets(self, texts: Sequence[str], languages: Sequence[str]) -> Tensor:
        """[B, L] locale, tokens of the text, end; then IGNORE: what a decoder of sentences reads and writes.

        Raises UserError as `batch` does.
        """
        rows = [
            torch.tensor([self.locale_id(language), *self._text(text, language), self.text_tokenizer.eos_token_id])
            for text, language in zip(texts, languages, strict=True)
        ]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORE)

    def locale_id(self, language: str) -> int:
        """The token of the locale in which a sign language's sentences are written.

        Raises UserError for an unknown language, and for one whose locale mBART does not have.
        """
        self.vocabulary.language_ids(language)
        language = canonical(language)
        token = self.text_tokenizer.convert_tokens_to_ids(self.locales[language])
        if token == self.text_tokenizer.unk_token_id:
            raise UserError(
                f"this mBART does not have {self.locales[language]}, the locale of {language}: give the corpus one "
                "that mBART has, or make a small mBART for it with `python -m prepare.small_mbart --cfg`"
            )
        return token

    def _text(self, text: str, language: str) -> list[int]:
        """`_checked_ids`, once for each of the sentences of late."""
        key = spelled(text), language
        return _remembered(self._read, key, lambda: self._checked_ids(*key))

    def _signs(self, text: str, language: str, clip: Clip | None) -> list[Tensor]:
        """The codes [K, S] of each sign that is found for a sentence; looking up takes up to a millisecond."""
        key = spelled(text), language, clip
        return _remembered(
            self._retrieved, key, lambda: [self.lexicon.codes(match, clip) for match in self.lexicon.matches(*key)]
        )

    def _rows(self, text: str, language: str, clip: Clip | None, drop: float) -> tuple[Tensor, Tensor]:
        """Ids [L] and codes [L, S] of one sentence."""
        language = canonical(language)
        text_ids, signs = self._text(text, language), self._signs(text, language, clip)
        if drop:
            signs = [sign for sign, kept in zip(signs, torch.rand(len(signs)) >= drop) if kept]
        locale, streams = self.locales[language], len(self.vocabulary.streams)
        ids, codes = list(text_ids), []
        for number, sign in enumerate(signs, start=1):
            ids += self._marker(locale, number)
            codes.append(torch.full((len(ids) - sum(map(len, codes)), streams), ABSENT))
            if self.form == "fused":
                ids += [self.text_tokenizer.pad_token_id] * len(sign)
                codes.append(sign)
            else:
                ids += self.vocabulary.code_ids(sign).flatten().tolist()
        ids += [self.text_tokenizer.eos_token_id, self.locale_id(language)]
        codes.append(torch.full((len(ids) - sum(map(len, codes)), streams), ABSENT))
        return torch.tensor(ids), torch.cat(codes)

    def _checked_ids(self, text: str, language: str) -> list[int]:
        """Ids of the text. Raises UserError as `batch` does."""
        self.vocabulary.language_ids(language)  # an unknown language ends here
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        if not text.strip():
            raise UserError("the sentence is empty: there is nothing to sign")
        unknown = self.text_tokenizer.unk_token_id
        ids = [unknown if token in self._control else token for token in self._text_ids(text)]
        if {unknown, self.text_tokenizer.convert_tokens_to_ids(_SPACE)}.issuperset(ids):
            raise UserError(f"the sentence {shown!r} has no token that the text tokenizer knows: write it in words")
        if len(ids) > self.max_tokens:
            log.warning(
                "the sentence %r has %d tokens, of which the first %d are signed: split it, or train a generator for "
                "longer sources", shown, len(ids), self.max_tokens,
            )
        if unknown in ids:
            self._tell_missing(text, shown)
        foreign = self._foreign(text, self.locales[language])
        if foreign:
            log.warning(
                "the sentence %r for %s holds %r, which is of another language: no sign is looked up for it",
                shown, language, foreign,
            )
        return ids[: self.max_tokens]

    def _tell_missing(self, text: str, shown: str) -> None:
        """Logs, once for each, what of a text the text tokenizer has no token for."""
        words = [token for token in self.text_tokenizer.all_special_tokens if token in text]
        signs = [sign for sign in dict.fromkeys(text) if self.text_tokenizer.unk_token_id in self._text_ids(sign)]
        new = [sign for sign in (*words, *signs) if sign not in self._missing]
        self._missing.update(new)
        if new:
            log.warning(
                "the text tokenizer has no token for %s, as in the sentence %r: all such signs are one unknown sign to it",
                ", ".join(map(repr, new)), shown,
            )

    @staticmethod
    def _foreign(text: str, locale: str) -> str | None:
        """A part of the text in a script that its language is not written in, as far as scripts can tell."""
        chinese = _CHINESE.search(text)
        if locale == "zh_CN":
            return None if chinese or not re.search(r"[^\W\d_]", text) else text[:40]
        return chinese.group() if chinese else None

    def _marker(self, locale: str, number: int) -> list[int]:
        if (locale, number) not in self._markers:
            self._markers[locale, number] = self._text_ids(marker(locale, number))
        return self._markers[locale, number]

    def _text_ids(self, text: str) -> list[int]:
        return self.text_tokenizer(text, add_special_tokens=False)["input_ids"]


def _remembered(cache: OrderedDict, key: tuple, make: Callable[[], Any]) -> Any:
    """What `make` gave for the key when it was asked for before; the oldest of too many are forgotten."""
    if key in cache:
        cache.move_to_end(key)
    else:
        cache[key] = make()
        if len(cache) > _REMEMBERED:
            cache.popitem(last=False)
    return cache[key]
