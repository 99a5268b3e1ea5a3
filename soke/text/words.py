"""The words of spoken-language sentences: for the lexicon, and as translations are counted."""
from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, get_args

from soke.text.spelling import spelled

Level = Literal["word", "char", "jieba"]
LEVELS: tuple[str, ...] = get_args(Level)
# Vowel signs and other marks that Python takes for no part of a word, and the joiners between them.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c).startswith("M")) + "\u200c\u200d"
_LETTER = rf"[\w{_MARKS}]"
_WORD = re.compile(rf"\w{_LETTER}*")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′＇", "'"))
_ENGLISH_WORD = re.compile(rf"\w{_LETTER}*(?:'{_LETTER}+)*")
# Abbreviations (a.m.), words and numbers with what stands inside them, and each sign, or run of one sign, by itself.
_TOKEN = re.compile(
    rf"(?:[^\W\d_]\.){{2,}}|\w{_LETTER}*(?:(?:['+-]|(?<=\d)[.,:/](?=\d)){_LETTER}+)*|([^\w\s])\1*[{_MARKS}]*"
)
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
# Thai, Lao, Tibetan, Burmese, Khmer: they put blanks between phrases, or none.
_OTHERS_WITHOUT_BLANKS = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")


def words_of(text: str, locale: str) -> list[str]:
    """The lower-cased words of a sentence in the language of `locale`.

    Chinese is segmented by jieba, other languages at non-letters; an English word keeps its apostrophe (can't).
    """
    text = spelled(text)
    if locale == "zh_CN":
        return [word for word in _segments(text) if _WORD.fullmatch(word)]
    if locale == "en_XX":
        return _ENGLISH_WORD.findall(text.lower().translate(_APOSTROPHES))
    if locale == "tr_TR":  # the small letter of İ, which Python writes as i and a dot, is i, that of I is ı
        text = text.replace("İ", "i").replace("i\u0307", "i").replace("I", "ı")
    return _WORD.findall(text.lower())


def text_tokens(text: str, level: Level) -> list[str]:
    """The lower-cased tokens that translation models write and translation metrics count, punctuation included.

    level: "word" gives words and signs, which are what blanks separate where signs stand between blanks, as in
           Phoenix-2014T; "char" every character that is no blank; "jieba" the segments of Chinese text
    """
    text = spelled(text).replace("İ", "i").lower()  # Python makes two characters of a Turkish İ
    if level == "word":
        return [match.group() for match in _TOKEN.finditer(text.translate(_APOSTROPHES))]
    if level == "char":
        return [character for character in text if not character.isspace()]
    return [word for word in _segments(text) if not word.isspace()]


def joined(tokens: list[str], level: Level) -> str:
    """Tokens as a sentence; `text_tokens` of it at the same level are the tokens again (jieba may cut otherwise)."""
    return (" " if level == "word" else "").join(tokens)


def written_words(text: str, level: Level) -> list[str]:
    """The words of a sentence as they are written, upper case and the punctuation at a word kept; levels as of
    `text_tokens`, "word" being what blanks separate."""
    text = spelled(text)
    if level == "word":
        return text.split()
    return [word for word in (text if level == "char" else _segments(text)) if not word.isspace()]


def level_of(texts: Iterable[str], wanted: Level | Literal["auto"] = "auto") -> Level:
    """How sentences are counted: as wanted, where auto leaves it open by the script of most of their letters.

    Chinese by jieba's segments; Japanese, Thai and others that put no blanks between words by characters; all others by
    words.
    """
    if wanted != "auto":
        return wanted
    text = "\n".join(texts)
    han, kana, others = (len(script.findall(text)) for script in (_HAN, _KANA, _OTHERS_WITHOUT_BLANKS))
    if 2 * (han + kana + others) <= sum(map(str.isalpha, text)):
        return "word"
    return "jieba" if han > 10 * kana + others else "char"


def tagged_words(text: str) -> list[tuple[str, str]]:
    """The words of Chinese text with their parts of speech, as jieba tags them."""
    import jieba.posseg

    jieba.setLogLevel(logging.WARNING)
    return [(pair.word, pair.flag) for pair in jieba.posseg.lcut(text) if _WORD.fullmatch(pair.word)]


def _segments(text: str) -> list[str]:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut(text)
