"""Retrieval: which signs a sentence gets, how they are explained, and lexicons that cannot be used."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from soke.data.clip import Clip
from soke.data.recordings import Recording
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.retrieval import Retriever, explained
from tests.generator.helpers import make_generator, recorded, retrieval, settings_of_before

BOOKS = {"body": 20, "lhand": 16, "rhand": 16}


def codes(steps: int):
    """[steps, 3], every row its own number."""
    return torch.arange(steps)[:, None].expand(steps, 3)


SIGNS = {
    "ASL": recorded({"dog": codes(7), "tomorrow": codes(14), "rain": codes(1), "time": codes(2), "sun": codes(2)}),
    "CSL": recorded({"下雨": codes(3)}),
    "DGS": {},
}


def test_words_are_found_whole_longest_first_in_their_own_language():
    lexicon = Retriever(SIGNS, retrieval(words=2))
    assert lexicon.find("Rain and sun tomorrow", "ASL") == ["tomorrow", "rain"]
    assert lexicon.find("sometimes", "ASL") == lexicon.find("sun", "DGS") == lexicon.find("sun", "LSA") == []
    assert Retriever(SIGNS, retrieval(words=0)).matches("sun", "ASL") == []


def test_long_signs_are_thinned_evenly_and_short_ones_kept():
    lexicon = Retriever(SIGNS, retrieval(steps=10))
    long, short = (lexicon.codes(match) for match in lexicon.matches("dogs tomorrow", "ASL"))
    assert long.shape == (10, 3) and long[0, 0] == 0 and long[-1, 0] == 13 and long[:, 0].diff().max() <= 2
    assert torch.equal(short, codes(7))


def test_published_lists_give_codes_of_other_languages_too():
    (match,) = Retriever(SIGNS, retrieval(match="soke_substring")).matches("zentimeter", "DGS")
    lexicon = Retriever(SIGNS, retrieval(match="soke_substring"))
    assert match.language == "ASL" and torch.equal(lexicon.codes(match), codes(2))


def test_similar_words_fill_only_the_places_that_exact_ones_leave():
    text = "tomorow the sun, the dog and the rain"
    assert Retriever(SIGNS, retrieval(words=3, similar=0.6)).find(text, "ASL") == ["rain", "sun", "dog"]
    assert Retriever(SIGNS, retrieval(words=4, similar=0.6)).find(text, "ASL") == ["rain", "sun", "dog", "tomorrow"]
    assert Retriever(SIGNS, retrieval(words=4)).find(text, "ASL") == ["rain", "sun", "dog"]
    for words in range(4):
        exact, both = (Retriever(SIGNS, retrieval(words=words, similar=s)).matches(text, "ASL") for s in (0.0, 0.01))
        assert both == exact


def test_similar_words_are_not_to_be_had_with_the_published_lists():
    with pytest.raises(UserError, match="`similar`=0.6 has no effect with `match`=soke_sub"):
        Retriever(SIGNS, retrieval(match="soke_substring", similar=0.6))
    Retriever(SIGNS, retrieval(match="soke_substring", similar=0.0))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The dogs", "ASL", '"dogs" -> dog (ASL, lemma, recording dog-1, 7 steps)'),
        ("Rain", "ASL", '"rain" -> rain (ASL, word, recording rain-1, 1 step)'),
        ("tomorow", "ASL", '"tomorow" -> tomorrow (ASL, similar 0.82, recording tomorrow-1, 10 of 14 steps)'),
        ("下雨天", "CSL", '"下雨天" -> 下雨 (CSL, similar 0.75, recording 下雨-1, 3 steps)'),
        ("tomorow, a dog", "ASL",
         '"dog" -> dog (ASL, word, recording dog-1, 7 steps)\n'
         '"tomorow" -> tomorrow (ASL, similar 0.82, recording tomorrow-1, 10 of 14 steps)'),
        ("nothing known", "ASL", "no sign is retrieved: no word of the sentence is in the lexicon of ASL"),
        ("Regen", "DGS", "no sign is retrieved: the lexicon has no signs of DGS"),
        ("sol", "LSA", "no sign is retrieved: the lexicon has no signs of LSA"),
    ],
)
def test_explained(text, language, expected):
    assert explained(Retriever(SIGNS, retrieval(similar=0.6)), text, language) == expected


def test_explained_without_retrieval_and_with_the_published_lists():
    assert explained(Retriever(SIGNS, retrieval(words=0)), "dog", "ASL") == (
        "no sign is retrieved: this generator was trained without retrieval"
    )
    published = Retriever(SIGNS, retrieval(match="soke_substring", steps=1))
    line = '"time" -> time (ASL, substring, recording time-1, 1 of 2 steps)'
    assert explained(published, "zentimeter", "DGS") == line


REMADE = "made by another tokenizer: run `python -m get_motion_code` with the tokenizer that you want to use"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (torch.tensor([[1, 2, 3], [19, 15, 16]]), f"has the code 16 for rhand, whose codes end at 15.*{REMADE}"),
        (torch.tensor([[20, 2, 3]]), f"has the code 20 for body, whose codes end at 19.*{REMADE}"),
        (torch.tensor([[1, -1, 3]]), f"has the code -1 for lhand.*{REMADE}"),
        (torch.zeros(4, 2).long(), f"codes of 2 streams in place of body, lhand, rhand.*{REMADE}"),
        (torch.zeros(4, 4).long(), f"codes of 4 streams in place of body, lhand, rhand.*{REMADE}"),
    ],
)
def test_signs_of_another_tokenizer_are_refused(bad, fault):
    signs = {"ASL": SIGNS["ASL"], "DGS": recorded({"regen": codes(2), "haus": bad})}
    with pytest.raises(UserError, match=f"'haus' in the lexicon of DGS .*{fault}"):
        Retriever(signs, retrieval(), streams=BOOKS)
    Retriever(signs, retrieval())  # nothing to compare with


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
        Retriever({"DGS": recorded({"haus": bad})}, retrieval(), streams=books)


def test_signs_at_the_ends_of_the_codebooks_are_taken():
    ends = torch.tensor([[0, 0, 0], [19, 15, 15]])
    lexicon = Retriever({"DGS": recorded({"haus": ends}), "ASL": {}}, retrieval(), streams=BOOKS)
    assert torch.equal(lexicon.codes(lexicon.matches("Haus", "DGS")[0]), ends)


def clip_of(name: str, split: str = "train", text: str = "es regnet", language: str = "DGS") -> Clip:
    return Clip(name, "phoenix", split, language, text, Path("unused"), 25.0)


CUT = {
    "DGS": {
        "regnet": [Recording("r1", codes(3), "phoenix/train/a"), Recording("r2", codes(5), "phoenix/train/b")],
        "es": [Recording("e1", codes(4), "../Phoenix_2014T/train/a")],
        "wind": [Recording("w1", codes(2))],
    }
}


def test_a_sentence_does_not_retrieve_a_sign_cut_from_itself():
    lexicon = Retriever(CUT, retrieval())

    def found(clip: Clip | None, text: str = "es regnet") -> dict[str, str]:
        matches = lexicon.matches(text, "DGS", clip)
        return {match.word: lexicon.recording(match, clip).name for match in matches}

    assert found(None) == found(clip_of("train/c")) == {"regnet": "r1", "es": "e1"}
    assert found(clip_of("train/a")) == {"regnet": "r2"}  # another recording of the one word, none of the other
    assert found(clip_of("train/b")) == {"regnet": "r1", "es": "e1"}
    assert found(clip_of("train/a"), "es") == {}
    assert explained(lexicon, "es", "DGS", clip_of("train/a")) == (
        "no sign is retrieved: those of the sentence's words are all cut from clip train/a"
    )
    (match,) = lexicon.matches("regnet", "DGS", clip_of("train/a"))
    assert torch.equal(lexicon.codes(match, clip_of("train/a")), codes(5))
    assert Retriever(CUT, retrieval(words=1)).find("es regnet wind", "DGS") == ["regnet"]
    one = Retriever({"DGS": {"es": CUT["DGS"]["es"], "wind": CUT["DGS"]["wind"]}}, retrieval(words=1))
    assert [m.word for m in one.matches("es wind", "DGS", clip_of("train/a"))] == ["wind"]  # its place is not lost


@pytest.mark.parametrize(("rule", "name"), [("first", "r1"), ("longest", "r2"), ("shortest", "r1"), ("medoid", "r1")])
def test_the_recording_is_chosen_by_the_rule_and_shown(rule, name):
    lexicon = Retriever(CUT, retrieval(recording=rule))
    assert f'"regnet" -> regnet (DGS, word, recording {name}, ' in explained(lexicon, "es regnet", "DGS")
    assert "recording r2, 5 steps" in explained(lexicon, "es regnet", "DGS", clip_of("train/a"))


KEYWORDS = {
    "train": {"train/a": ["wind", "es", "gone", "time", "wind"], "train/none": [], "train/gone": ["gone"]},
    "test": {"train/a": ["regnet"]},
}


def test_the_lists_of_a_corpus_go_before_the_rule():
    lexicon = Retriever({**CUT, "ASL": SIGNS["ASL"]}, retrieval(words=2), keywords=KEYWORDS)

    def words(clip: Clip | None) -> list[tuple[str, str, str]]:
        return [(match.language, match.word, match.how) for match in lexicon.matches("es regnet", "DGS", clip)]

    # not es, whose only recording is cut from this clip; not gone, of which there is no sign
    assert words(clip_of("train/a")) == [("DGS", "wind", "list"), ("ASL", "time", "list")]
    assert words(clip_of("train/a", "test")) == [("DGS", "regnet", "list")]  # each split has lists of its own
    assert words(clip_of("train/none")) == words(clip_of("train/gone")) == []
    by_rule = [("DGS", "regnet", "word"), ("DGS", "es", "word")]
    assert words(None) == words(clip_of("train/c")) == words(clip_of("train/none", "val")) == by_rule
    assert '"wind" -> wind (DGS, list, recording w1, ' in explained(lexicon, "es regnet", "DGS", clip_of("train/a"))
    assert explained(lexicon, "es regnet", "DGS", clip_of("train/gone")) == (
        "no sign is retrieved: the list of clip train/gone names no word of the lexicon"
    )


def test_a_word_of_two_languages_is_that_of_the_sentence():
    signs = {"DGS": recorded({"hand": codes(2)}), "ASL": recorded({"hand": codes(6)})}
    lexicon = Retriever(signs, retrieval(), keywords={"train": {"x": ["hand"]}})
    for language in signs:
        (match,) = lexicon.matches("...", language, clip_of("x", language=language))
        assert match.language == language
    (match,) = lexicon.matches("...", "CSL", clip_of("x", language="CSL"))
    assert match.language == "DGS"  # the published order is CSL, DGS, ASL


def test_what_is_read_depends_on_whose_sentence_it_is(tmp_path):
    """Through the generator, its training input and its export: lists and recordings travel with it."""
    lists = {"train": {"train/a": ["sun"]}}
    model = make_generator(retrieval_recording="longest", retrieval_keywords="lists 0123", keywords=lists)
    cut = Recording("rain-2", codes(4) % 5, "phoenix/train/b")
    signs = {"ASL": {**model.source.lexicon.recordings["ASL"]}, "DGS": {"rain": [Recording("x", codes(6) % 5), cut]}}
    model = SignGenerator(model.spec, model.mbart, model.source.text_tokenizer, signs, lists).eval()
    model.save_pretrained(tmp_path / "generator")
    loaded = SignGenerator.from_pretrained(tmp_path / "generator")
    assert (loaded.spec.settings.retrieval.recording, loaded.spec.settings.retrieval.keywords) == ("longest", "lists 0123")
    clips = [clip_of("train/a", text="rain"), clip_of("train/b", text="rain"), None]
    texts, languages = ["rain"] * 3, ["DGS"] * 3
    for generator in (model, loaded):
        sources = [generator.source.batch(["rain"], ["DGS"], [clip]).ids for clip in clips]
        lengths = [source.shape[1] for source in sources]
        assert lengths == [generator.source.length("rain", "DGS", clip) for clip in clips]
        assert lengths[0] == lengths[2] - 6  # sun, 4 steps of three parts, in place of rain, 6
        assert lengths[1] == lengths[2] and torch.equal(sources[1], sources[2])  # the longest is not cut from it
    said, again = (generator.generate(texts, languages, clips=clips) for generator in (model, loaded))
    assert all(torch.equal(first, second) for first, second in zip(said, again, strict=True))
    names = {r.name: r.source for r in loaded.source.lexicon.recordings["DGS"]["rain"]}
    assert names == {"x": None, "rain-2": "phoenix/train/b"}


def test_generators_exported_before_recordings_had_names_are_read(tmp_path):
    model = make_generator()
    model.save_pretrained(tmp_path / "generator")
    table = tmp_path / "generator/lexicon.json"
    signs = json.loads(table.read_text(encoding="utf-8"))
    table.write_text(json.dumps({lang: {w: r[0]["codes"] for w, r in e.items()} for lang, e in signs.items()}))
    (tmp_path / "generator/keywords.json").unlink()
    settings = settings_of_before(tmp_path / "generator")
    (tmp_path / "generator/generator.json").write_text(json.dumps(settings), encoding="utf-8")
    old = SignGenerator.from_pretrained(tmp_path / "generator").source
    assert torch.equal(old.batch(["rain and sun"], ["ASL"]).ids, model.source.batch(["rain and sun"], ["ASL"]).ids)
