"""Retrieval: which signs a sentence gets, how they are explained, and lexicons that cannot be used."""
from __future__ import annotations

import pytest
import torch

from soke.errors import UserError
from soke.generator.retrieval import Lexicon, explained

BOOKS = {"body": 20, "lhand": 16, "rhand": 16}


def codes(steps: int):
    """[steps, 3], every row its own number."""
    return torch.arange(steps)[:, None].expand(steps, 3)


SIGNS = {
    "ASL": {"dog": codes(7), "tomorrow": codes(14), "rain": codes(1), "time": codes(2), "sun": codes(2)},
    "CSL": {"下雨": codes(3)},
    "DGS": {},
}


def test_words_are_found_whole_longest_first_in_their_own_language():
    lexicon = Lexicon(SIGNS, words=2)
    assert lexicon.find("Rain and sun tomorrow", "ASL") == ["tomorrow", "rain"]
    assert lexicon.find("sometimes", "ASL") == lexicon.find("sun", "DGS") == lexicon.find("sun", "LSA") == []
    assert Lexicon(SIGNS, words=0).matches("sun", "ASL") == []


def test_long_signs_are_thinned_evenly_and_short_ones_kept():
    lexicon = Lexicon(SIGNS, steps=10)
    long, short = (lexicon.codes(match) for match in lexicon.matches("dogs tomorrow", "ASL"))
    assert long.shape == (10, 3) and long[0, 0] == 0 and long[-1, 0] == 13 and long[:, 0].diff().max() <= 2
    assert torch.equal(short, codes(7))


def test_published_lists_give_codes_of_other_languages_too():
    (match,) = Lexicon(SIGNS, match="soke_substring").matches("zentimeter", "DGS")
    lexicon = Lexicon(SIGNS, match="soke_substring")
    assert match.language == "ASL" and torch.equal(lexicon.codes(match), SIGNS["ASL"]["time"])


def test_similar_words_fill_only_the_places_that_exact_ones_leave():
    text = "tomorow the sun, the dog and the rain"
    assert Lexicon(SIGNS, words=3, similar=0.6).find(text, "ASL") == ["rain", "sun", "dog"]
    assert Lexicon(SIGNS, words=4, similar=0.6).find(text, "ASL") == ["rain", "sun", "dog", "tomorrow"]
    assert Lexicon(SIGNS, words=4).find(text, "ASL") == ["rain", "sun", "dog"]
    for words in range(4):
        exact, both = (Lexicon(SIGNS, words=words, similar=s).matches(text, "ASL") for s in (0.0, 0.01))
        assert both == exact


def test_similar_words_are_not_to_be_had_with_the_published_lists():
    with pytest.raises(UserError, match=r"GENERATOR\.RETRIEVAL\.SIMILAR=0\.6 .*GENERATOR\.RETRIEVAL\.MATCH=soke_sub"):
        Lexicon(SIGNS, match="soke_substring", similar=0.6)
    Lexicon(SIGNS, match="soke_substring", similar=0.0)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The dogs", "ASL", '"dogs" -> dog (ASL, lemma, 7 steps)'),
        ("Rain", "ASL", '"rain" -> rain (ASL, word, 1 step)'),
        ("tomorow", "ASL", '"tomorow" -> tomorrow (ASL, similar 0.82, 10 of 14 steps)'),
        ("下雨天", "CSL", '"下雨天" -> 下雨 (CSL, similar 0.75, 3 steps)'),
        ("tomorow, a dog", "ASL",
         '"dog" -> dog (ASL, word, 7 steps)\n"tomorow" -> tomorrow (ASL, similar 0.82, 10 of 14 steps)'),
        ("nothing known", "ASL", "no sign is retrieved: no word of the sentence is in the lexicon of ASL"),
        ("Regen", "DGS", "no sign is retrieved: the lexicon has no signs of DGS"),
        ("sol", "LSA", "no sign is retrieved: the lexicon has no signs of LSA"),
    ],
)  # fmt: skip
def test_explained(text, language, expected):
    assert explained(Lexicon(SIGNS, similar=0.6), text, language) == expected


def test_explained_without_retrieval_and_with_the_published_lists():
    assert explained(Lexicon(SIGNS, words=0), "dog", "ASL") == (
        "no sign is retrieved: GENERATOR.RETRIEVAL.WORDS is 0"
    )
    published = Lexicon(SIGNS, match="soke_substring", steps=1)
    assert explained(published, "zentimeter", "DGS") == '"time" -> time (ASL, substring, 1 of 2 steps)'


REMADE = "made by another tokenizer: run `python -m get_motion_code` with the tokenizer that you want to use"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (torch.tensor([[1, 2, 3], [19, 15, 16]]), f"has the code 16 for rhand, whose codebook ends at 15.*{REMADE}"),
        (torch.tensor([[20, 2, 3]]), f"has the code 20 for body, whose codebook ends at 19.*{REMADE}"),
        (torch.tensor([[1, -1, 3]]), f"has the code -1 for lhand.*{REMADE}"),
        (torch.zeros(4, 2).long(), f"codes of 2 parts in place of body, lhand, rhand.*{REMADE}"),
        (torch.zeros(4, 4).long(), f"codes of 4 parts in place of body, lhand, rhand.*{REMADE}"),
    ],
)
def test_signs_of_another_tokenizer_are_refused(bad, fault):
    signs = {"ASL": SIGNS["ASL"], "DGS": {"regen": codes(2), "haus": bad}}
    with pytest.raises(UserError, match=f"'haus' in the lexicon of DGS .*{fault}"):
        Lexicon(signs, codebooks=BOOKS)
    Lexicon(signs)  # nothing to compare with


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (torch.zeros(3).long(), r"int64 \[3\]"),
        (torch.zeros(1, 4, 3).long(), r"int64 \[1, 4, 3\]"),
        (torch.zeros(0, 3).long(), r"int64 \[0, 3\]"),
        (torch.zeros(4, 3), r"float32 \[4, 3\]"),
        (torch.zeros(4, 3).bool(), r"bool \[4, 3\]"),
    ],
)
@pytest.mark.parametrize("books", [None, BOOKS])
def test_malformed_signs_are_refused(bad, fault, books):
    with pytest.raises(UserError, match=f"'haus' in the lexicon of DGS holds {fault}.*get_motion_code"):
        Lexicon({"DGS": {"haus": bad}}, codebooks=books)


def test_signs_at_the_ends_of_the_codebooks_are_taken():
    signs = {"DGS": {"haus": torch.tensor([[0, 0, 0], [19, 15, 15]])}, "ASL": {}}
    lexicon = Lexicon(signs, codebooks=BOOKS)
    assert torch.equal(lexicon.codes(lexicon.matches("Haus", "DGS")[0]), signs["DGS"]["haus"])
