"""Pseudo-glosses of sentences made by hand."""
from __future__ import annotations

import pytest

from soke.text.pseudo_glosses import pseudo_glosses


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("The cats were running to two big houses.", "en_XX", "cat run two big house"),
        ("Today I will show you how to make a good pie!", "en_XX", "today i show you how make good pie"),
        ("She hasn't been in London and isn't going.", "en_XX", "she london go"),
        ("We can\u2019t swim, it's the teacher's pool.", "en_XX", "we swim it teacher pool"),
        ("to the of", "en_XX", ""),
        ("", "en_XX", ""),
        ("Der Wind weht schwach aus dem Osten .", "de_DE", "wind wehen schwach osten"),
        ("am mittwoch wird es kalt und die temperaturen sinken", "de_DE", "mittwoch es kalt temperatur sinken"),
        ("die Häuser", "de_DE", "haus"),
        ("他今年四岁。", "zh_CN", "他 今年 四岁"),
        ("我们的老师不喜欢苹果和米饭吗？", "zh_CN", "我们 老师 不 喜欢 苹果 米饭"),
        ("我去图书馆看书了", "zh_CN", "我 去 图书馆 看书"),
        ("我喜欢 Python", "zh_CN", "我 喜欢 python"),
        ("", "zh_CN", ""),
        ("오늘 날씨", "ko_KR", "오늘 날씨"),
        ("Les chats", "fr_XX", "le chat"),
    ],
)
def test_content_words_in_order(text, locale, expected):
    assert pseudo_glosses(text, locale) == expected.split()
