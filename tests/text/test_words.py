"""Words and tokens of sentences, and the level at which they are counted."""
from __future__ import annotations

import random
import unicodedata

import pytest

from soke.text.words import joined, level_of, text_tokens, words_of


@pytest.mark.parametrize(
    ("text", "locale", "expected"),
    [
        ("We can\u2019t, it's John's.", "en_XX", "we can't it's john's"),
        ("'tis the dogs' o'clock", "en_XX", "tis the dogs o'clock"),
        ("additional fundamentals.To start,or not", "en_XX", "additional fundamentals to start or not"),
        ("De l'eau, aujourd'hui!", "fr_XX", "de l eau aujourd hui"),
        ("U\u0308ber Nacht", "de_DE", "\u00fcber nacht"),
        ("हिन्दी में लिखो।", "hi_IN", "हिन्दी में लिखो"),
        ("明 天 下 雨 。", "zh_CN", "明天 下雨"),
        ("오늘 날씨", "ko_KR", "오늘 날씨"),
        ("sun \u2600\ufe0f", "en_XX", "sun"),
    ],
)
def test_words_are_cut_at_what_is_no_letter_of_them(text, locale, expected):
    assert words_of(text, locale) == expected.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("im süden -4 bis 3,5 grad ... a-1 .", "im süden - 4 bis 3,5 grad ... a-1 ."),
        ("Some fundamentals.To start", "some fundamentals . to start"),
        ("hello,world", "hello , world"),
        ("Hi!", "hi !"),
        ("\u201cYou can\u2019t,\u201d he said--at 10:30 a.m.", "\u201c you can't , \u201d he said -- at 10:30 a.m."),
        ("a forty-five 1/2 pike, 1,000.5 ft.", "a forty-five 1/2 pike , 1,000.5 ft ."),
        ("Is it 5?Yes", "is it 5 ? yes"),
        ("S+H IX-LOC ES-BEDEUTET", "s+h ix-loc es-bedeutet"),
        ("हिन्दी।", "हिन्दी ।"),
        ("sun\u2600\ufe0f, rain", "sun \u2600\ufe0f , rain"),
        ("", ""),
    ],
)
def test_signs_are_tokens_of_their_own_at_word_level(text, tokens):
    assert text_tokens(text, "word") == tokens.split()


def test_a_turkish_sentence_begins_with_the_word_that_stands_within_it():
    assert text_tokens("İstasyonda bekliyor.", "word") == text_tokens("istasyonda bekliyor.", "word")
    assert text_tokens("İyi", "char") == ["i", "y", "i"]


def test_blanks_between_chinese_characters_make_no_tokens():
    for level in ("char", "jieba"):
        assert text_tokens("他 今 年 四 岁 。", level) == text_tokens("他今年四岁。", level)
    assert text_tokens("他今年四岁。", "jieba") == ["他", "今年", "四岁", "。"]


def test_tokens_put_between_blanks_are_cut_into_the_same_ones():
    draw = random.Random(0)
    for _ in range(2000):
        text = "".join(draw.choices("aB\u00e9'\u2019-.,:;!?5\" \u0301\u00a0+/水かक्", k=draw.randint(0, 12)))
        tokens = text_tokens(text, "word")
        assert text_tokens(joined(tokens, "word"), "word") == tokens
        # nothing is lost but blanks, and what the one spelling changes
        letters = unicodedata.normalize("NFC", text).replace("\u2019", "'").lower()
        assert "".join(tokens) == "".join(letters.split())


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        (["他今年四岁。", "我喜欢 Python"], "jieba"),
        (["今日はいい天気です。", "東京駅"], "char"),
        (["วันนี้อากาศดี"], "char"),
        (["ຂ້ອຍຮັກເຈົ້າ"], "char"),
        (["ငါစားသည်"], "char"),
        (["오늘 날씨가 좋다"], "word"),
        (["tiefer luftdruck bestimmt", "中文"], "word"),
        (["Hi!", "1 2 3"], "word"),
        (["हिन्दी में"], "word"),
        (["…", "123"], "word"),
        ([], "word"),
    ],
)
def test_the_script_says_how_texts_are_counted(texts, level):
    assert level_of(iter(texts)) == level
    assert level_of(texts, "char") == "char" and level_of(texts, "word") == "word"
