"""LangGloss: which tokens a sentence has, and their ids."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from soke.errors import UserError
from soke.text.lang_glosses import END, PADDING, LangGlosses

SENTENCES = [
    ("ASL", "When does this take place?", None),
    ("DGS", "Am freundlichsten ist es im Westen.", "WEST FREUNDLICH WEST"),
    ("ASL", "When is WEST", None),
]
GLOSSES = LangGlosses.of(SENTENCES)


def test_tokens_are_prefix_underscore_and_the_original_word():
    """As the paper's supplement prints them, case and final punctuation kept; glosses go before the text."""
    assert GLOSSES.written(*SENTENCES[0]) == ["ASL_When", "ASL_does", "ASL_this", "ASL_take", "ASL_place?"]
    assert GLOSSES.written(*SENTENCES[1]) == ["DGS_WEST", "DGS_FREUNDLICH", "DGS_WEST"]
    assert GLOSSES.written("DGS", "Am freundlichsten", None) == ["DGS_Am", "DGS_freundlichsten"]


def test_ids_by_frequency_then_alphabet_language_after_language():
    asl = ["When", "WEST", "does", "is", "place?", "take", "this"]
    assert GLOSSES.words == {"ASL": asl, "DGS": ["WEST", "FREUNDLICH"]}
    assert (PADDING, END, GLOSSES.beginning("ASL"), GLOSSES.unknown("ASL"), GLOSSES.words_of("ASL")) == (
        0, 1, 2, 3, range(4, 11)
    )
    assert (GLOSSES.beginning("DGS"), GLOSSES.words_of("DGS"), len(GLOSSES)) == (11, range(13, 15), 15)
    assert GLOSSES.ids(*SENTENCES[2]) == [4, 7, 5]
    assert GLOSSES.tokens_of([0, 1, 2, 3, 4, 5, 13]) == [
        "<pad>", "</s>", "ASL_<s>", "ASL_<unk>", "ASL_When", "ASL_WEST", "DGS_WEST"
    ]


def test_a_word_of_two_languages_is_two_tokens():
    west = GLOSSES.ids("ASL", "WEST", None), GLOSSES.ids("DGS", "WEST", None)
    assert west == ([5], [13])


def test_unknown_words_keep_their_language():
    assert GLOSSES.ids("DGS", "", "OST WEST") == [12, 13]
    assert GLOSSES.tokens_of([12]) == ["DGS_<unk>"]
    assert GLOSSES.written("DGS", "", "OST") == ["DGS_OST"]
    with pytest.raises(UserError, match="there are no glosses of CSL, but of ASL, DGS"):
        GLOSSES.ids("CSL", "x", None)


def test_languages_whose_codes_and_words_read_alike_are_kept_apart():
    glosses = LangGlosses({"A": "word", "A_B": "word"}, {"A": ["B_c"], "A_B": ["c"]})
    assert glosses.ids("A", "B_c", None) != glosses.ids("A_B", "c", None)


def test_chinese_is_cut_by_jieba_and_korean_at_blanks():
    glosses = LangGlosses.of([("CSL", "我们喜欢老师。", None), ("KSL", "오늘은 날씨가 좋다.", None)])
    assert glosses.levels == {"CSL": "jieba", "KSL": "word"}
    assert glosses.written("CSL", "我们 喜欢老师。", None) == ["CSL_我们", "CSL_喜欢", "CSL_老师", "CSL_。"]
    assert glosses.written("KSL", "오늘은 날씨가 좋다.", None) == ["KSL_오늘은", "KSL_날씨가", "KSL_좋다."]


def test_a_language_that_is_added_leaves_the_others_ids():
    more = LangGlosses({**GLOSSES.levels, "CSL": "jieba"}, {**GLOSSES.words, "CSL": ["好"]})
    assert [more.ids(*sentence) for sentence in SENTENCES] == [GLOSSES.ids(*sentence) for sentence in SENTENCES]


def test_plain_types_give_the_same_again_and_bad_ones_are_refused():
    assert LangGlosses(**asdict(GLOSSES)) == GLOSSES and len(LangGlosses(**asdict(GLOSSES))) == len(GLOSSES)
    with pytest.raises(ValueError, match="the words of ASL must differ"):
        LangGlosses({"ASL": "word"}, {"ASL": ["a", "a"]})
    with pytest.raises(ValueError, match="levels are of ASL, but words of DGS"):
        LangGlosses({"ASL": "word"}, {"DGS": ["a"]})


def test_words_that_are_written_like_a_special_are_unknown():
    assert LangGlosses.of([("ASL", "<unk> <s> a", None)]).words == {"ASL": ["a"]}
