from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import ImageFont

from soke.render import lettering
from soke.render.lettering import choose_font, font_files, missing_glyphs, text_strip, wrap

CHINESE = "今天天气很好，我们一起去公园吧！"
GERMAN = "Im Süden wird es heiß, örtlich Böen über Ägypten."


@pytest.fixture(scope="module")
def font() -> ImageFont.FreeTypeFont:
    return choose_font(GERMAN, 20)


def test_umlauts_have_glyphs(font: ImageFont.FreeTypeFont):
    assert missing_glyphs(font, GERMAN) == []


def test_chinese_has_glyphs_where_a_font_is_installed():
    best = choose_font(CHINESE, 20)
    if not any(name in str(file) for file in font_files() for name in ("zhplot", "CJK", "wqy", "PingFang")):
        pytest.skip("no font with Chinese signs here: pip install zhplot")
    assert missing_glyphs(best, CHINESE) == []


def test_missing_glyphs_are_found_in_pillows_own_font():
    assert missing_glyphs(ImageFont.load_default(20), "a今") == ["今"]


def test_without_any_font_file_it_still_draws_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(lettering, "_FONTS", ())
    for cached in (lettering.font_files, lettering._fonts, lettering._warn_of_boxes):
        cached.cache_clear()
    with caplog.at_level(logging.WARNING):
        strips = [text_strip(CHINESE, 300, 20), text_strip(CHINESE, 300, 20)]
    for cached in (lettering.font_files, lettering._fonts, lettering._warn_of_boxes):
        cached.cache_clear()
    assert all(strip.min() < 128 for strip in strips)
    assert len(caplog.records) == 1 and "zhplot" in caplog.text


@pytest.mark.parametrize("sentence", [CHINESE, GERMAN, GERMAN + " " + CHINESE, "Donaudampfschifffahrt" * 4, "", "a"])
@pytest.mark.parametrize("width", [80, 200, 5000])
def test_wrapped_lines_fit_and_lose_nothing(sentence: str, width: int, font: ImageFont.FreeTypeFont):
    lines = wrap(sentence, font, width)
    assert "".join(lines).replace(" ", "") == sentence.replace(" ", "")
    assert all(font.getlength(line) <= width for line in lines)
    if width == 5000:
        assert lines == ([sentence] if sentence else [])


def test_words_stay_whole_and_punctuation_does_not_start_a_line(font: ImageFont.FreeTypeFont):
    lines = wrap(GERMAN, font, 160)
    assert len(lines) > 1 and " ".join(lines) == GERMAN
    for width in range(60, 200, 7):
        assert all(line[0] not in "，！" for line in wrap(CHINESE, font, width))


def test_strip_grows_with_the_lines():
    short, long = text_strip("a", 200, 20), text_strip(GERMAN * 2, 200, 20)
    assert short.shape[1] == long.shape[1] == 200 and long.shape[0] > 2 * short.shape[0]
    assert np.asarray(short).min() < 128
    assert text_strip("", 200, 20).shape == short.shape  # empty: white, as high as one line
