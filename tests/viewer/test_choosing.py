"""Which clips are listed: filtered by corpus and words, the worst first."""
from __future__ import annotations

import math

from soke.viewer.choosing import PAGE, Entry, Query, page_of

DIRECTIONS = {"DTW m": False, "BLEU-4 percent": True, "length ratio": None}


def entry(name: str, text: str = "", corpus: str = "csl", fault: str = "", **scores: float) -> Entry:
    names = {"dtw": "DTW m", "bleu": "BLEU-4 percent", "length": "length ratio"}
    return Entry(corpus, name, text, scores={"soke": {names[k]: v for k, v in scores.items()}}, fault=fault)


ENTRIES = [
    entry("a", "The dog sleeps", dtw=0.2, bleu=80.0, length=0.9),
    entry("b", "the cat sleeps", dtw=0.9, bleu=10.0, length=1.3),
    entry("c", "Straße", "phoenix", dtw=0.5, bleu=50.0, length=1.0),
    entry("d", "without a score"),
    entry("e", "not a number", dtw=math.nan),
    entry("f", "broken", fault="no frames"),
]


def listed(**query) -> str:
    return "".join(e.name for e in Query(**query).of(ENTRIES, DIRECTIONS))


def test_the_worst_come_first_whichever_way_a_score_goes():
    for column, expected in (("DTW m", "bcade"), ("BLEU-4 percent", "bcade"), ("length ratio", "bacde")):
        assert listed(system="soke", column=column) == expected
    assert listed(system="soke", column="DTW m", best=True) == "acbde"
    assert listed(system="another", column="DTW m") == "abcde"


def test_corpus_and_words_filter_and_broken_clips_are_listed_apart():
    assert listed() == "abcde" and listed(broken=True) == "f"
    assert listed(corpus="phoenix") == "c" and listed(search="SLEEPS the") == "ab"
    assert listed(search="strasse") == "c" and listed(search="dog", corpus="phoenix") == ""


def test_pages_hold_all_entries_once_and_there_is_always_one():
    entries = [entry(str(i)) for i in range(2 * PAGE + 1)]
    pages = [page_of(entries, number)[1] for number in range(3)]
    assert sum(pages, []) == entries and len(pages[2]) == 1
    assert page_of(entries, 99)[0] == 2 and page_of(entries, -1)[0] == 0 and page_of([], 4) == (0, [])
