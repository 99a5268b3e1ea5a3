"""The words of spoken-language sentences."""
from __future__ import annotations

import logging
import re

from soke.data.clip import TEXT_LOCALE

_WORD = re.compile(r"\w+")


def words_of(text: str, language: str) -> list[str]:
    """The words of a sentence that is translated into a sign language, lower-cased.

    Chinese is segmented by jieba, other languages at non-letters.
    """
    if TEXT_LOCALE.get(language) == "zh_CN":
        import jieba

        jieba.setLogLevel(logging.WARNING)
        return [word for word in jieba.lcut(text) if _WORD.fullmatch(word)]
    return _WORD.findall(text.lower())
