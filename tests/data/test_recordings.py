"""The recordings of a word: how far their codes are from each other, which one is chosen, and their table."""
from __future__ import annotations

import json
from functools import lru_cache
from itertools import permutations
from pathlib import Path

import pytest
import torch

from soke.data.clip import Clip
from soke.data.recordings import (
    RULES,
    Recording,
    edit_distances,
    published_recordings,
    ranked,
    read_recordings,
    write_recordings,
)
from soke.data.word_codes import write_word_codes
from soke.errors import UserError
from soke.run.config import keyed

PARTS = ("body", "lhand", "rhand")
SIZES = {"body": 10, "lhand": 10, "rhand": 10}


def steps(*numbers: int) -> torch.Tensor:
    """Codes [K, 3] whose parts say the same number at each step."""
    return torch.tensor(numbers)[:, None].repeat(1, 3)


def slow_distance(a: torch.Tensor, b: torch.Tensor) -> int:
    """By the definition: the cheapest way to begin, then what is left; times the number of parts."""
    parts = a.shape[1]

    @lru_cache(maxsize=None)
    def least(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return parts * (len(a) - i + len(b) - j)
        replaced = sum(x != y for x, y in zip(a[i].tolist(), b[j].tolist()))
        return min(replaced + least(i + 1, j + 1), parts + least(i + 1, j), parts + least(i, j + 1))

    return least(0, 0)


@pytest.mark.parametrize("parts", [1, 3])
def test_edit_distance_against_its_definition(parts):
    draw = torch.Generator().manual_seed(parts)
    codes = [torch.randint(0, 4, (k, parts), generator=draw) for k in (1, 7, 4, 7, 12, 2)]
    expected = [[slow_distance(a, b) for b in codes] for a in codes]
    assert edit_distances(codes).tolist() == expected


def test_edit_distance_by_hand():
    """1 2 3 -> 1 3: one step left out. -> 1 2 4 with a hand alike: two of three parts differ."""
    other = steps(1, 2, 4)
    other[2, 1] = 3
    assert edit_distances([steps(1, 2, 3), steps(1, 3), other]).tolist() == [[0, 3, 2], [3, 0, 5], [2, 5, 0]]
    assert edit_distances([steps(1, 2)]).tolist() == [[0]]


WORD = [
    Recording("odd", steps(9, 9, 9)),
    Recording("long", steps(1, 2, 3, 4, 5)),
    Recording("middle", steps(1, 2, 3, 4)),
    Recording("also long", steps(1, 2, 3, 4, 6)),
    Recording("short", steps(1, 2)),
]


@pytest.mark.parametrize(
    ("rule", "first", "second"),
    [("first", "odd", "long"), ("longest", "long", "also long"), ("shortest", "short", "odd"),
     ("medoid", "middle", "long")],
)
def test_the_chosen_recording_and_the_next_best(rule, first, second):
    """middle is 4 steps from odd, 1 from both long ones and 2 from short: 8; long 5 + 1 + 1 + 3 = 10; others more."""
    assert [recording.name for recording in ranked(WORD, rule)][:2] == [first, second]
    assert sorted(r.name for r in ranked(WORD, rule)) == sorted(r.name for r in WORD)


def test_the_medoid_does_not_depend_on_the_order():
    assert {ranked(order, "medoid")[0].name for order in permutations(WORD)} == {"middle"}
    assert ranked(WORD[1:3], "medoid")[0].name == "long"  # of two, both are as near: the first
    assert set(RULES) == {"first", "longest", "shortest", "medoid"}


def test_recordings_come_back_and_the_table_says_which_one_is_chosen(tmp_path):
    path = tmp_path / "word2code_ASL.json"
    words = {"rain": [*WORD, Recording("cut", steps(7), "how2sign/a")], "好": WORD[:1]}
    write_recordings(path, words, PARTS, "medoid")
    table = json.loads(path.read_text(encoding="utf-8"))
    assert table["rain"]["chosen"] == "middle" and table["好"]["chosen"] == "odd"
    read = read_recordings(path, PARTS)
    assert list(read) == ["rain", "好"]
    for word, recordings in words.items():
        assert [(r.name, r.source) for r in read[word]] == [(r.name, r.source) for r in recordings]
        assert all(torch.equal(a.codes, b.codes) for a, b in zip(read[word], recordings, strict=True))
    swapped = read_recordings(path, ("rhand", "body"))["rain"][0]
    assert swapped.codes.shape == (3, 2)


GOOD = {part: [1] for part in PARTS}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (GOOD, "'odd' has no list of recordings"),  # as tables were before they held recordings
        ([GOOD], "'odd' has no list of recordings"),
        ({"recordings": []}, "'odd' has no recording"),
        ({"recordings": [{"name": "a", "codes": GOOD}]}, "'odd' has no list of recordings"),
        ({"recordings": [{"name": "a", "source": None, "codes": {"body": [1]}}]}, "'odd' lacks codes of equal length"),
        ({"recordings": [{"name": "a", "source": None, "codes": {**GOOD, "body": [1, 2]}}]}, "lacks codes of equal"),
        ({"recordings": [{"name": "a", "source": None, "codes": {p: [0.5] for p in PARTS}}]}, "whole numbers"),
    ],
)
def test_malformed_tables_name_the_word_and_the_command(tmp_path, entry, fault):
    path = tmp_path / "word2code_ASL.json"
    path.write_text(json.dumps({"odd": entry}))
    with pytest.raises(UserError, match=rf"word2code_ASL\.json: word .*{fault}.*python -m get_motion_code"):
        read_recordings(path, PARTS)


@pytest.mark.parametrize(
    ("source", "cut"),
    [("phoenix/train/a-1", True), ("../Phoenix_2014T/train/a-1", True), ("train/a-1", True),
     ("phoenix/train/ba-1", False), ("phoenix/retrain/a-1", False), ("train/a-1/more", False), (None, False)],
)
def test_a_recording_knows_the_clip_that_it_is_cut_from(source, cut):
    clip = Clip("train/a-1", "phoenix", "train", "DGS", "regen", Path("unused"), 25.0)
    assert Recording("x", steps(1), source).is_cut_from(clip) is cut


def test_both_spellings_of_a_letter_are_one_name():
    clip = Clip("train/fr\u00fch-1", "phoenix", "train", "DGS", "regen", Path("unused"), 25.0)
    assert Recording("x", steps(1), "../Phoenix/train/fru\u0308h-1").is_cut_from(clip)


def test_the_published_table_holds_one_recording_of_each_word(tmp_path):
    path = tmp_path / "word2code.json"
    write_word_codes(path, {"下雨": steps(1, 2), "regen": steps(3), "rain": steps(9)}, PARTS)
    words = published_recordings(path, SIZES, {"regen"})
    assert {language: list(entries) for language, entries in words.items()} == {
        "CSL": ["下雨"], "DGS": ["regen"], "ASL": ["rain"]
    }
    (rain,) = words["ASL"]["rain"]
    assert torch.equal(rain.codes, steps(9)) and rain.name == "of word2code.json" and rain.source is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "does not exist"), ("[]", "does not hold a table"), ('{"rain": {"body": [1]}}', "word 'rain' lacks codes"),
     ('{"rain": {"body": [1], "lhand": [10], "rhand": [1]}}', "word 'rain' has codes that the tokenizer's codebooks")],
)
def test_a_published_table_that_does_not_fit_names_the_keys_to_set(tmp_path, content, fault):
    path = tmp_path / "word2code.json"
    if content is not None:
        path.write_text(content)
    remedy = r"WORD_CODES.*TOKENIZER\.PATH.*prepare\.import_soke"
    with pytest.raises(UserError, match=rf"word2code\.json.*{fault}.*{remedy}"), keyed():
        published_recordings(path, SIZES, set())
