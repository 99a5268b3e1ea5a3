"""The words of spoken-language sentences: for the lexicon, and as translations are counted."""
from __future__ import annotations

import logging
import re
from typing import Literal, get_args

from soke.data.clip import TEXT_LOCALE

_WORD = re.compile(r"\w+")
Level = Literal["word", "char", "jieba"]
LEVELS: tuple[str, ...] = get_args(Level)


def words_of(text: str, language: str) -> list[str]:
    """The words of a sentence that is translated into a sign language, lower-cased.

    Chinese is segmented by jieba, other languages at non-letters.
    """
    if TEXT_LOCALE.get(language) == "zh_CN":
        return [word for word in _segments(text) if _WORD.fullmatch(word)]
    return _WORD.findall(text.lower())


def text_tokens(text: str, level: Level) -> list[str]:
    """The lower-cased tokens that translation models write and translation metrics count, punctuation included.

    level: "word" splits at blanks (Sign Language Transformers), "char" gives every character that is no blank,
           "jieba" the segments of Chinese text
    """
    text = text.lower()
    if level == "word":
        return text.split()
    if level == "char":
        return [character for character in text if not character.isspace()]
    return [word for word in _segments(text) if not word.isspace()]


def joined(tokens: list[str], level: Level) -> str:
    """Tokens as a sentence; `text_tokens` of it at the same level are the tokens again (jieba may cut otherwise)."""
    return (" " if level == "word" else "").join(tokens)


def level_of(language: str, wanted: Level | Literal["auto"] = "auto") -> Level:
    """How sentences that are translated into a sign language are counted: as wanted, where auto leaves it open by
    jieba's segments for Chinese, and by words for others."""
    if wanted != "auto":
        return wanted
    return "jieba" if TEXT_LOCALE.get(language) == "zh_CN" else "word"


def tagged_words(text: str) -> list[tuple[str, str]]:
    """The words of Chinese text with their parts of speech, as jieba tags them."""
    import jieba.posseg

    jieba.setLogLevel(logging.WARNING)
    return [(pair.word, pair.flag) for pair in jieba.posseg.lcut(text) if _WORD.fullmatch(pair.word)]


def _segments(text: str) -> list[str]:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut(text)
