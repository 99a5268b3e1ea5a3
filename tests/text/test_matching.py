"""Keywords: whole words of the sentence's language, and the published lists."""
from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from soke.data.clip import Clip
from soke.data.keyword_lists import check_keywords, read_keyword_lists, read_keywords, write_keywords
from soke.data.word_codes import read_published_word_codes, read_word_codes, write_published_word_codes
from soke.errors import UserError
from soke.run.config import keyed
from soke.text.locales import TEXT_LOCALE
from soke.text.matching import Match, SubstringMatcher, TokenMatcher

LOCALES = {**TEXT_LOCALE, "ISL": "hi_IN"}
WORDS = {
    "ASL": ["good", "good afternoon", "afternoon", "run", "House"],
    "DGS": ["ueberschwemmung", "regen", "haus", "zeit", "meter"],
    "CSL": ["今天", "下雨", "今天下雨", "你"],
}


def words_found(matcher, text, language):
    return [match.word for match in matcher.find(text, language)]


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
    assert words_found(TokenMatcher(WORDS, LOCALES), text, language) == expected


def test_umlauts_in_the_lexicon_match_plain_spelling():
    assert words_found(TokenMatcher({"DGS": ["überschwemmung"]}, LOCALES), "ueberschwemmung", "DGS") == ["überschwemmung"]


@pytest.mark.parametrize(
    ("text", "language", "word", "surface", "how"),
    [
        ("a GOOD Afternoon", "ASL", "good afternoon", "good afternoon", "word"),
        ("two houses", "ASL", "House", "houses", "lemma"),
        ("Überschwemmung", "DGS", "ueberschwemmung", "überschwemmung", "word"),
        ("我今天下雨", "CSL", "今天下雨", "今天下雨", "word"),
    ],
)
def test_a_match_tells_what_it_was_found_for_and_how(text, language, word, surface, how):
    assert TokenMatcher(WORDS, LOCALES).find(text, language) == [Match(language, word, surface, how, 1.0)]


def test_an_entry_is_told_once_for_its_first_words():
    assert TokenMatcher(WORDS, LOCALES).find("houses, house", "ASL") == [Match("ASL", "House", "houses", "lemma")]


NEAR = {
    "ASL": ["tomorrow", "umbrella", "car", "good", "good afternoon", "teacher"],
    "DGS": ["ueberschwemmung", "gewitter", "Schnee", "öl"],
    "CSL": ["下雨", "图书馆", "天", "老师"],
    "DSGS": ["Tomorow"],
}


@pytest.mark.parametrize(
    ("text", "language", "word", "surface"),
    [
        ("Tomorow, then", "ASL", "tomorrow", "tomorow"),
        ("an umbrela", "ASL", "umbrella", "umbrela"),
        ("a teacherly voice", "ASL", "teacher", "teacherly"),
        ("see you goodafternoon", "ASL", "good afternoon", "goodafternoon"),
        ("Gewiter", "DGS", "gewitter", "gewiter"),
        ("Gewitterchen", "DGS", "gewitter", "gewitterchen"),
        ("Schneefall", "DGS", "Schnee", "schneefall"),
        ("明天是下雨天", "CSL", "下雨", "下雨天"),
        ("图书馆员", "CSL", "图书馆", "图书馆员"),
    ],
)
def test_typos_and_inflections_find_the_nearest_entry_when_asked_for(text, language, word, surface):
    (match,) = TokenMatcher(NEAR, LOCALES, similar=0.5).find(text, language)
    assert (match.language, match.word, match.surface, match.how) == (language, word, surface, "similar")
    assert 0.5 <= match.score < 1
    assert TokenMatcher(NEAR, LOCALES).find(text, language) == [], "off by default"


def test_umlauts_are_as_near_as_their_plain_spelling():
    matcher = TokenMatcher(NEAR, LOCALES, similar=0.5)
    (umlaut,), (plain,) = matcher.find("Überschwemung", "DGS"), matcher.find("Ueberschwemung", "DGS")
    assert umlaut.word == plain.word == "ueberschwemmung" and umlaut.score == plain.score > 0.8
    assert words_found(matcher, "Uberschwemmung", "DGS") == ["ueberschwemmung"], "umlauts typed without their dots"


def test_the_threshold_is_the_lowest_score_that_is_taken():
    # tomorow has 8 trigrams, tomorrow 9, and they share 7
    exactly = 2 * 7 / (8 + 9)
    assert TokenMatcher(NEAR, LOCALES, similar=exactly).find("tomorow", "ASL")[0].score == exactly
    assert TokenMatcher(NEAR, LOCALES, similar=exactly + 1e-9).find("tomorow", "ASL") == []
    # 下雨天 has 3 characters and 2 pairs, 下雨 has 2 and 1
    assert TokenMatcher(NEAR, LOCALES, similar=0.75).find("下雨天", "CSL")[0].score == 2 * 3 / (5 + 3)
    assert TokenMatcher(NEAR, LOCALES, similar=0.76).find("下雨天", "CSL") == []


@pytest.mark.parametrize(
    ("entries", "text", "language"),
    [
        (["good"], "goo", "ASL"),
        (["car"], "caar", "ASL"),
        (["öle"], "oeles", "DGS"),
        (["天"], "今天", "CSL"),
        (["今天"], "天", "CSL"),
        (["2024"], "2025", "ASL"),
    ],
)
def test_short_words_and_numbers_are_never_similar(entries, text, language):
    assert TokenMatcher({language: entries}, LOCALES, similar=0.01).find(text, language) == []


def test_similar_entries_stand_after_all_exact_ones_the_nearest_first():
    words = {"ASL": ["car", "tomorrow", "umbrella", "sun", "afternoon"]}
    found = TokenMatcher(words, LOCALES, similar=0.3).find("umbrellex tomorow suns car", "ASL")
    assert [(m.word, m.how) for m in found] == [
        ("sun", "lemma"), ("car", "word"), ("tomorrow", "similar"), ("umbrella", "similar")
    ]
    assert found[2].score > found[3].score


def test_an_entry_that_is_found_already_is_not_found_again_nor_replaced_by_a_farther_one():
    words = {"ASL": ["tomorrow", "tomorrows child"]}
    matcher = TokenMatcher(words, LOCALES, similar=0.4)
    assert words_found(matcher, "tomorow tomorrow", "ASL") == ["tomorrow"]
    twice = matcher.find("tomorw tomorow", "ASL")
    assert [(m.word, m.surface) for m in twice] == [("tomorrow", "tomorow")], "for the word nearest to it"


def test_words_of_an_entry_that_was_found_are_not_looked_up_again():
    matcher = TokenMatcher({"ASL": ["good afternoon", "afternoons off"]}, LOCALES, similar=0.3)
    assert words_found(matcher, "good afternoon", "ASL") == ["good afternoon"]


def test_only_entries_of_the_same_language_are_similar():
    matcher = TokenMatcher(NEAR, LOCALES, similar=0.4)
    assert words_found(matcher, "tomorow", "DSGS") == ["Tomorow"]
    assert words_found(matcher, "tomorow", "DGS") == words_found(matcher, "tomorow", "XXX") == []
    assert TokenMatcher({"ASL": []}, LOCALES, similar=0.4).find("tomorow", "ASL") == []


def slow_nearest(entries, word, chinese):
    """The rule as it is told: Dice coefficient of the sets of n-grams with every entry, the first one among equals."""

    def grams(text):
        if chinese:
            return {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1) if j - i <= 2}
        text = "  " + text + " "
        return {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1) if j - i == 3}

    best, best_score = None, 0.0
    for entry in entries:
        one, other = grams(entry), grams(word)
        score = 2 * len(one & other) / (len(one) + len(other))
        if score > best_score and len(entry) >= (2 if chinese else 4):
            best, best_score = entry, score
    return best, best_score


@pytest.mark.parametrize(("language", "letters"), [("KSL", "abc"), ("KSL", "가나다라"), ("CSL", "龘靐齉爩")])
def test_the_nearest_entry_agrees_with_comparing_every_one(language, letters, monkeypatch):
    monkeypatch.setattr("soke.text.matching.words_of", lambda text, locale: [text])  # jieba cuts invented words up
    draw = random.Random(1)
    shortest = 2 if language == "CSL" else 4
    entries = list(dict.fromkeys("".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(60)))
    matcher = TokenMatcher({language: entries}, LOCALES, similar=1e-9)
    words = {"".join(draw.choices(letters, k=draw.randint(shortest, 9))) for _ in range(300)} - set(entries)
    for word in sorted(words):
        best, score = slow_nearest(entries, word, language == "CSL")
        expected = [] if best is None else [Match(language, best, word, "similar", score)]
        assert matcher.find(word, language) == expected


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
             for lang in ("ASL", "DGS", "CSL")}
    matcher = SubstringMatcher(words, LOCALES)
    for _ in range(50):
        text = "".join(draw.choices(letters, k=30))
        assert words_found(matcher, text, "DGS") == slow_substrings(words, text, ())


def test_published_lists_are_noisy_raw_and_leave_some_words_out():
    matcher = SubstringMatcher({**WORDS, "ASL": [*WORDS["ASL"], "how", "time"]}, LOCALES)
    assert words_found(matcher, "zentimeter", "DGS") == ["meter", "time"]
    assert words_found(matcher, "how Good a House, good", "ASL") == ["House", "good"]
    assert words_found(matcher, "你今天来", "CSL") == ["今天"]
    assert matcher.find("zentimeter", "DGS")[1] == Match("ASL", "time", "time", "substring")


def test_keyword_files(tmp_path):
    path = tmp_path / "name2kws_train.json"
    content = {"S0_T00": ["今天"], "dev/x-1": []}
    write_keywords(path, content)
    assert read_keywords(path) == content and json.loads(path.read_text("utf-8")) == content
    write_keywords(path, {"dev/a": ["u\u0308ber", "下 雨"]})
    assert read_keywords(path) == {"dev/a": ["\u00fcber", "下雨"]}
    no_list, no_table, no_json = "clip a has no list of words", "does not hold a table", "cannot be read"
    for text, fault in (("[1]", no_table), ('{"a": "b"}', no_list), ("{", no_json)):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"name2kws_train\.json.*{fault}.*; make it with `python -m prepare.keywords`"):
            read_keywords(path)
    with pytest.raises(UserError, match="does not exist; make it with"):
        read_keywords(tmp_path / "none.json")


def test_published_table_of_codes(tmp_path, caplog):
    caplog.set_level("INFO")
    parts = ("body", "lhand", "rhand")
    names = ("雨", "regen", "good afternoon", "gift")
    codes = {word: torch.randint(0, 96, (10 + i, 3)) for i, word in enumerate(names)}
    words = {"ASL": {"good afternoon": codes["good afternoon"], "gift": codes["gift"]},
             "DGS": {"regen": codes["regen"], "gift": codes["regen"]}, "CSL": {"雨": codes["雨"]}}
    path = tmp_path / "word2code.json"
    write_published_word_codes(path, words, parts)
    assert list(read_word_codes(path, parts)) == ["雨", "regen", "gift", "good afternoon"]
    assert "1 words occur in two languages" in caplog.text
    read = read_published_word_codes(path, parts, german={"regen", "gift"})
    assert {lang: list(entries) for lang, entries in read.items()} == {
        "CSL": ["雨"], "DGS": ["regen", "gift"], "ASL": ["good afternoon"]
    }
    assert torch.equal(read["DGS"]["gift"], codes["regen"])
    write_published_word_codes(path, {"CSL": {}, "DGS": {"u\u0308ber": codes["gift"]}, "ASL": {}}, parts)
    assert list(read_word_codes(path, parts)) == ["\u00fcber"]
    path.write_text(json.dumps({"gift": {"body": [1, None], "lhand": [1, 2], "rhand": [1, 2]}}))
    with pytest.raises(UserError, match="word2code.json: word 'gift' lacks codes of equal length"):
        read_word_codes(path, parts)


def clips(*names: str, corpus: str = "how2sign") -> list[Clip]:
    return [Clip(name, corpus, "train", "ASL", "rain", Path("unused"), 24.0) for name in names]


LISTS = {"a": ["rain", "sun"], "b": [], "c": ["snow"]}
FILE = Path("lists/name2kws_train.json")


def test_what_lists_lack_is_counted(caplog):
    check_keywords(FILE, LISTS, clips("a", "b", "c"), {"rain", "sun", "snow"})
    assert caplog.text == ""
    check_keywords(FILE, LISTS, clips("a", "b", "d", "e"), {"sun"})
    assert "name2kws_train.json has no list for 2 of 4 clips, d the first of them" in caplog.text
    assert "1 of the 2 words that lists/name2kws_train.json names have no sign" in caplog.text
    check_keywords(FILE, LISTS, [], set())  # a split without clips


@pytest.mark.parametrize(
    ("of", "signs", "fault"),
    [
        (clips("d", "e"), {"rain"}, "has a list for none of the 2 clips, d the first"),
        (clips("a", "b"), {"snow"}, "names no word of the lexicon, which lacks 'rain'"),
        (clips("a") + clips("a", corpus="csl"), {"rain"}, "one list for a, which is a clip of how2sign and of csl"),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(of, signs, fault):
    with pytest.raises(UserError, match=rf"name2kws_train\.json .*{fault}.*GENERATOR\.RETRIEVAL\.KEYWORDS"), keyed():
        check_keywords(FILE, LISTS, of, signs)


def test_there_is_a_file_for_every_split(tmp_path):
    for split in ("train", "val"):
        write_keywords(tmp_path / f"name2kws_{split}.json", LISTS)
    with pytest.raises(UserError, match=r"name2kws_test\.json does not exist: .*python -m prepare\.keywords"):
        read_keyword_lists(tmp_path)
    write_keywords(tmp_path / "name2kws_test.json", {})
    assert read_keyword_lists(tmp_path) == {"train": LISTS, "val": LISTS, "test": {}}


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("I can't swim", ["can", "swim"], ["swim"]),
        ("I CAN\u2019T swim", ["can't", "can"], ["can't"]),
        ("I can't swim", ["cannot", "can"], ["cannot"]),
        ("I cannot swim", ["can't", "can"], ["can't"]),
        ("I can not swim", ["can't", "can"], ["can't"]),
        ("I can't swim", ["can not", "can"], ["can not"]),
        ("we don't", ["do", "don", "t"], []),
        ("we don\u02bct", ["don't", "do"], ["don't"]),
        ("you won't", ["will", "want", "will not"], ["will not"]),
        ("they aren't", ["isn't", "are", "be"], ["isn't"]),
        ("it's cold", ["it", "its", "is"], ["it"]),
        ("we'll, they'd've", ["we", "they", "well"], ["they", "we"]),
        ("the teacher's car", ["teacher", "teach"], ["teacher"]),
        ("the teachers' car", ["teacher"], ["teacher"]),
        ("at five o'clock", ["o'clock", "clock"], ["o'clock"]),
        ("at five o'clock", ["clock", "o"], []),
        ("'can' they?", ["can"], ["can"]),
    ],
)
def test_contractions_are_one_word_and_keep_their_negation(text, words, expected):
    assert words_found(TokenMatcher({"ASL": words}, LOCALES), text, "ASL") == expected


def test_a_contraction_is_similar_to_nothing_that_it_negates():
    matcher = TokenMatcher({"ASL": ["should", "teacher"]}, LOCALES, similar=0.3)
    assert words_found(matcher, "you shouldn't", "ASL") == []
    assert words_found(matcher, "my teachr's", "ASL") == ["teacher"]


def test_other_languages_part_what_an_apostrophe_joins():
    assert words_found(TokenMatcher({"LSF-CH": ["eau"]}, LOCALES), "de l'eau", "LSF-CH") == ["eau"]
    assert words_found(TokenMatcher({"DGS": ["gehen"]}, LOCALES), "wie geht's", "DGS") == ["gehen"]


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("zwei hunde", "Hund"), ("viele bäume", "Baum"), ("hohe berge", "berg"), ("in den nächsten tagen", "tag"),
        ("mit gewittern", "GEWITTER"), ("ein berg", "Berge"), ("starke bäume", "starker Baum"), ("sie tagen", "tagen"),
    ],
)
def test_german_nouns_in_lower_case_find_their_lemma(text, entry):
    assert words_found(TokenMatcher({"DGS": [entry]}, LOCALES), text, "DGS") == [entry]


def test_a_word_finds_itself_before_a_noun_of_the_same_letters():
    assert words_found(TokenMatcher({"DGS": ["Tag", "tagen"]}, LOCALES), "sie tagen", "DGS") == ["tagen"]


def test_an_entry_of_many_words_is_found_in_no_time():
    entry = "tage berge bäume " * 12
    assert words_found(TokenMatcher({"DGS": [entry]}, LOCALES), entry.upper(), "DGS") == [entry]


@pytest.mark.parametrize(
    ("text", "entry", "language"),
    [
        ("u\u0308ber", "\u00fcber", "DGS"), ("\u00fcber", "u\u0308ber", "DGS"), ("下 雨 了", "下雨", "CSL"),
        ("下雨了", "下 雨", "CSL"), ("हिन्दी में", "हिन्दी", "ISL"), ("\u0130zmir'de", "i\u0307zmir", "TSL"),
    ],
)
def test_words_match_however_they_are_composed_and_spaced(text, entry, language):
    assert words_found(TokenMatcher({language: [entry]}, LOCALES), text, language) == [entry]


def test_published_substrings_match_however_they_are_composed():
    assert words_found(SubstringMatcher({"DGS": ["u\u0308ber"]}, LOCALES), "h\u00fcber", "DGS") == ["u\u0308ber"]


def test_a_sentence_in_its_own_order():
    """Entries as often as they come, the longest first to be found; None for what is in none."""
    matcher = TokenMatcher(WORDS, LOCALES)
    assert matcher.in_order("Good afternoon, houses run; a house is good", "ASL") == [
        "good afternoon", "House", "run", None, "House", None, "good",
    ]
    assert matcher.in_order("我今天高兴", "CSL") == [None, "今天", None] and matcher.in_order("", "DGS") == []


@pytest.mark.parametrize(
    ("gloss", "language", "entry"),
    [("UEBERSCHWEMMUNG", "DGS", "ueberschwemmung"), ("good afternoon", "ASL", "good afternoon"), ("今天下雨", "CSL", "今天下雨"),
     ("good house", "ASL", None), ("HÄUSER", "DGS", "haus"), ("$", "DGS", None)],
)
def test_a_gloss_is_an_entry_as_a_whole(gloss, language, entry):
    assert TokenMatcher(WORDS, LOCALES).entry(gloss, language) == entry


def test_case_does_not_matter_in_chinese_either():
    matcher = TokenMatcher({"CSL": ["KTV", "wifi"]}, {"CSL": "zh_CN"})
    assert [match.word for match in matcher.find("我去ktv，那里有WIFI。", "CSL")] == ["wifi", "KTV"]


def test_entries_that_are_read_alike_are_said_and_the_plain_one_is_found(caplog):
    entries = ["c++", "C", "?!", "Rain", "rain", "good  day", "good day"]
    matcher = TokenMatcher({"ASL": entries}, TEXT_LOCALE, similar=0.5)
    found = [matcher.find(text, "ASL")[0].word for text in ("vitamin C", "it rains", "a good day")]
    assert found == ["C", "Rain", "good day"] and not matcher.find("what?!", "ASL")
    assert [record.getMessage() for record in caplog.records] == [
        "4 entries of the lexicon of ASL are found in no sentence, for they are without words, or others are read as they "
        "are: '?!', 'c++', 'rain', 'good  day'"
    ]
    caplog.clear()
    assert TokenMatcher({"DGS": ["maß", "regen"]}, TEXT_LOCALE).find("das Mass", "DGS")[0].word == "maß"
    assert not caplog.records


@pytest.mark.parametrize(
    ("entry", "text", "language"),
    [("3", "有３个人", "CSL"), ("Ａ型", "a型血", "CSL"), ("A型", "Ａ型血", "CSL"), ("rain", "the ＲＡＩＮ falls", "ASL")],
)
def test_the_width_of_letters_does_not_matter(entry, text, language):
    assert [match.word for match in TokenMatcher({language: [entry]}, TEXT_LOCALE).find(text, language)] == [entry]
