"""One spelling for every text."""
from __future__ import annotations

import unicodedata

import pytest

from soke.errors import UserError
from soke.text.spelling import spelled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u\u0308ber", "über"),
        ("  a \t b\u00a0c\n", "a b c"),
        ("\ufeffsnow\u200b", "snow"),
        ("他 今 年 四 岁 。", "他今年四岁。"),
        ("他  今年\u3000四岁 ？", "他今年四岁？"),
        ("今日 は いい 天気", "今日はいい天気"),
        ("我 喜欢 Python 3", "我喜欢 Python 3"),
        ("오늘 날씨 가 좋다", "오늘 날씨 가 좋다"),
        ("大韓 民國 의 날씨", "大韓 民國 의 날씨"),
        (unicodedata.normalize("NFD", "한국 날씨"), "한국 날씨"),
        ("วันนี้ อากาศดี", "วันนี้ อากาศดี"),
        ("Donau\u00addampf", "Donaudampf"),
        ("", ""),
    ],
)
def test_texts_have_one_spelling(text, expected):
    assert spelled(text) == expected == spelled(expected)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(UserError, match="'rain .*udcff' holds halves of characters: write it in UTF-8"):
        spelled(b"rain \xff".decode("utf-8", "surrogateescape"))
