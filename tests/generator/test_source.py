"""What the encoder reads: text, retrieved signs, end, locale."""
from __future__ import annotations

import torch

from soke.data.words import words_of
from soke.generator.retrieval import Lexicon
from soke.generator.vocabulary import SignVocabulary

from .conftest import CODEBOOKS, make_generator


def test_blocks_of_ids_do_not_overlap():
    vocabulary = SignVocabulary(100, ["ASL", "DGS"], CODEBOOKS)
    ids = [vocabulary.language_id("ASL"), vocabulary.language_id("DGS")]
    for part, size in enumerate(CODEBOOKS.values()):
        codes = torch.zeros(size, 3, dtype=torch.long)
        codes[:, part] = torch.arange(size)
        ids += vocabulary.code_ids(codes)[:, part].tolist()
    assert sorted(ids) == list(range(100, vocabulary.size))


def test_source_ends_with_end_and_locale(generator):
    pieces = generator.source.pieces
    ids = generator.source.encode("snow", "DGS").tolist()
    assert ids == [*pieces("snow", add_special_tokens=False)["input_ids"], 2, pieces.convert_tokens_to_ids("de_DE")]


def test_retrieved_signs_follow_the_text(generator):
    source = generator.source
    pieces, signs = source.pieces, source.lexicon.signs["ASL"]["sun"]
    text = pieces("sun", add_special_tokens=False)["input_ids"]
    marker = pieces("Key word 1, ", add_special_tokens=False)["input_ids"]
    codes = source.vocabulary.code_ids(signs).flatten().tolist()
    assert source.encode("sun", "ASL").tolist() == [*text, *marker, *codes, 2, pieces.convert_tokens_to_ids("en_XX")]


def test_long_signs_are_thinned_evenly():
    codes = torch.arange(14)[:, None].expand(14, 3)
    found = Lexicon({"ASL": {"rain": codes}}, words=3, steps=10).codes("Rain!", "ASL")
    assert len(found) == 1 and len(found[0]) == 10
    assert found[0][0, 0] == 0 and found[0][-1, 0] == 13


def test_words_are_found_whole_longest_first_in_their_own_language():
    signs = {"ASL": {w: torch.zeros(2, 3).long() for w in ("time", "sun", "rain", "tomorrow")}, "DGS": {}}
    lexicon = Lexicon(signs, words=2)
    assert lexicon.find("Rain and sun tomorrow", "ASL") == ["tomorrow", "rain"]
    assert lexicon.find("sometimes", "ASL") == []
    assert lexicon.find("sun", "DGS") == []
    assert Lexicon(signs, words=0).find("sun", "ASL") == []


def test_chinese_is_segmented():
    assert words_of("明天下雨。", "CSL") == ["明天", "下雨"]


def test_retrieval_can_be_switched_off():
    without = make_generator(0, retrieval_words=0)
    assert len(without.source.encode("sun", "ASL")) < len(make_generator(0).source.encode("sun", "ASL"))
