"""Keywords: whole words of the sentence's language, and the published lists."""
from __future__ import annotations

import json
import random

import pytest
import torch

from soke.data.codes import read_published_word_codes, read_word_codes, write_published_word_codes
from soke.data.keywords import SubstringMatcher, TokenMatcher, read_keywords, write_keywords
from soke.errors import UserError

WORDS = {
    "ASL": ["good", "good afternoon", "afternoon", "run", "House"],
    "DGS": ["ueberschwemmung", "regen", "haus", "zeit", "meter"],
    "CSL": ["今天", "下雨", "今天下雨", "你"],
}


def words_found(matcher, text, language):
    return [word for _, word in matcher.find(text, language)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Good afternoon, everybody!", "ASL", ["good afternoon"]),
        ("Good morning; this afternoon.", "ASL", ["afternoon", "good"]),
        ("She was running to the houses", "ASL", ["House", "run"]),
        ("goodness", "ASL", []),
        ("Überschwemmungen und Regen", "DGS", ["ueberschwemmung", "regen"]),
        ("Regen Regen", "DGS", ["regen"]),
        ("zentimeter", "DGS", []),
        ("今天下雨。", "CSL", ["今天下雨"]),
        ("我今天高兴", "CSL", ["今天"]),
        ("good", "DGS", []),
        ("good", "XXX", []),
        ("", "ASL", []),
    ],
)
def test_whole_words_of_the_same_language(text, language, expected):
    assert words_found(TokenMatcher(WORDS), text, language) == expected


def test_umlauts_in_the_lexicon_match_plain_spelling():
    assert words_found(TokenMatcher({"DGS": ["überschwemmung"]}), "ueberschwemmung", "DGS") == ["überschwemmung"]


def slow_substrings(words, text, never):
    """The rule as it is told: every key that is in the text, longest first, published order among equals."""
    order = [*words["CSL"], *words["DGS"], *words["ASL"]]
    found = []
    for length in range(40, 1, -1):
        for word in order:
            if len(word) == length and text.find(word) >= 0 and word not in never and word not in found:
                found.append(word)
    return found


def test_published_substrings_agree_with_the_rule():
    draw = random.Random(0)
    letters = "abcdeü "
    words = {lang: list(dict.fromkeys("".join(draw.choices(letters, k=draw.randint(1, 4))) for _ in range(60)))
             for lang in ("ASL", "DGS", "CSL")}  # fmt: skip
    matcher = SubstringMatcher(words)
    for _ in range(50):
        text = "".join(draw.choices(letters, k=30))
        assert words_found(matcher, text, "DGS") == slow_substrings(words, text, ())


def test_published_lists_are_noisy_raw_and_leave_some_words_out():
    matcher = SubstringMatcher({**WORDS, "ASL": [*WORDS["ASL"], "how", "time"]})
    assert words_found(matcher, "zentimeter", "DGS") == ["meter", "time"]
    assert words_found(matcher, "how Good a House, good", "ASL") == ["House", "good"]
    assert words_found(matcher, "你今天来", "CSL") == ["今天"]
    assert matcher.find("zentimeter", "DGS")[1] == ("ASL", "time")


def test_keyword_files(tmp_path):
    path = tmp_path / "name2kws_train.json"
    content = {"S0_T00": ["今天"], "dev/x-1": []}
    write_keywords(path, content)
    assert read_keywords(path) == content and json.loads(path.read_text("utf-8")) == content
    for text, fault in (("[1]", "table of clips"), ('{"a": "b"}', "clip a has no list of words"), ("{", "no JSON")):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"name2kws_train\.json.*{fault}"):
            read_keywords(path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_keywords(tmp_path / "none.json")


def test_published_table_of_codes(tmp_path, caplog):
    caplog.set_level("INFO")
    parts = ("body", "lhand", "rhand")
    names = ("雨", "regen", "good afternoon", "gift")
    codes = {word: torch.randint(0, 96, (10 + i, 3)) for i, word in enumerate(names)}
    words = {"ASL": {"good afternoon": codes["good afternoon"], "gift": codes["gift"]},
             "DGS": {"regen": codes["regen"], "gift": codes["regen"]}, "CSL": {"雨": codes["雨"]}}  # fmt: skip
    path = tmp_path / "word2code.json"
    write_published_word_codes(path, words, parts)
    assert list(read_word_codes(path, parts)) == ["雨", "regen", "gift", "good afternoon"]
    assert "1 words occur in two languages" in caplog.text
    read = read_published_word_codes(path, parts, german={"regen", "gift"})
    assert {lang: list(entries) for lang, entries in read.items()} == {
        "CSL": ["雨"], "DGS": ["regen", "gift"], "ASL": ["good afternoon"]
    }  # fmt: skip
    assert torch.equal(read["DGS"]["gift"], codes["regen"])
