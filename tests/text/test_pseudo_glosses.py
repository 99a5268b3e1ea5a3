"""Pseudo-glosses of sentences made by hand."""
from __future__ import annotations

import pytest

from soke.text.pseudo_glosses import pseudo_glosses


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The cats were running to two big houses.", "ASL", "cat run two big house"),
        ("Today I will show you how to make a good pie!", "ASL", "today i show you how make good pie"),
        ("She hasn't been in London and isn't going.", "ASL", "she london go"),
        ("We can\u2019t swim, it's the teacher's pool.", "ASL", "we swim it teacher pool"),
        ("to the of", "ASL", ""),
        ("", "ASL", ""),
        ("Der Wind weht schwach aus dem Osten .", "DGS", "wind wehen schwach osten"),
        ("am mittwoch wird es kalt und die temperaturen sinken", "DGS", "mittwoch es kalt temperatur sinken"),
        ("die Häuser", "DSGS", "haus"),
        ("他今年四岁。", "CSL", "他 今年 四岁"),
        ("我们的老师不喜欢苹果和米饭吗？", "CSL", "我们 老师 不 喜欢 苹果 米饭"),
        ("我去图书馆看书了", "CSL", "我 去 图书馆 看书"),
        ("我喜欢 Python", "CSL", "我 喜欢 python"),
        ("", "CSL", ""),
        ("오늘 날씨", "KSL", "오늘 날씨"),
        ("Les chats", "LSF-CH", "le chat"),
    ],
)
def test_content_words_in_order(text, language, expected):
    assert pseudo_glosses(text, language) == expected.split()
