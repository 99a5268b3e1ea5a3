"""One spelling for every text, whoever wrote it down and on whatever keyboard."""
from __future__ import annotations

import re
import unicodedata

from soke.errors import UserError

# Han, kana and the signs that are written between them.
_HAN_AND_KANA = (
    "\u2e80-\u2fdf\u3001-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f\U00020000-\U0003ffff"
)
_NEEDLESS_BLANK = re.compile(f"(?<=[{_HAN_AND_KANA}]) (?=[{_HAN_AND_KANA}])")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7ff]")
_HALVES = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are not UTF-8, among others
_SOFT_HYPHEN = "\u00ad"  # where a word may be parted at the end of a line
WIDTHS = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # full-width letters, digits and signs -> ASCII's
# Zero-width spaces, marks of direction and of byte order: invisible, and no part of a word.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufeff"), " ")


def spelled(text: str) -> str:
    """A text in composed characters (NFC) and with single blanks, of which none stands between two Chinese or Japanese
    characters; in a text with Korean ones, which are written with blanks, they stay. Raises UserError for halves of
    characters, which are no text."""
    if _HALVES.search(text):
        raise UserError(f"the text {text[:60]!r} holds halves of characters: write it in UTF-8")
    text = " ".join(unicodedata.normalize("NFC", text.replace(_SOFT_HYPHEN, "")).translate(_INVISIBLE).split())
    return text if _HANGUL.search(text) else _NEEDLESS_BLANK.sub("", text)
