"""What the encoder reads: text, retrieved signs, end, locale."""
from __future__ import annotations

import pytest
import torch

from soke.errors import UserError
from soke.generator.schemes import ABSENT
from soke.generator.sign_vocabulary import SignVocabulary
from soke.text.words import words_of
from tests.generator.helpers import CODEBOOKS, make_generator


def test_blocks_of_ids_do_not_overlap():
    vocabulary = SignVocabulary(100, ["ASL", "DGS"], CODEBOOKS)
    ids = [*vocabulary.language_ids("ASL"), *vocabulary.language_ids("DGS")]
    for part, size in enumerate(CODEBOOKS.values()):
        codes = torch.zeros(size, 3, dtype=torch.long)
        codes[:, part] = torch.arange(size)
        ids += vocabulary.code_ids(codes)[:, part].tolist()
    assert sorted(ids) == list(range(100, vocabulary.size))


def sign_of(source, word):
    (match,) = source.lexicon.matches(word, "ASL")
    return source.lexicon.codes(match)


def test_source_ends_with_end_and_locale(generator):
    text_tokenizer = generator.source.text_tokenizer
    ids = generator.source.batch(["snow"], ["DGS"]).ids[0].tolist()
    text = text_tokenizer("snow", add_special_tokens=False)["input_ids"]
    assert ids == [*text, 2, text_tokenizer.convert_tokens_to_ids("de_DE")]


def test_retrieved_signs_follow_the_text(generator):
    source = generator.source
    text_tokenizer, signs = source.text_tokenizer, sign_of(source, "sun")
    text = text_tokenizer("sun", add_special_tokens=False)["input_ids"]
    marker = text_tokenizer("Key word 1, ", add_special_tokens=False)["input_ids"]
    codes = source.vocabulary.code_ids(signs).flatten().tolist()
    expected = [*text, *marker, *codes, 2, text_tokenizer.convert_tokens_to_ids("en_XX")]
    assert source.batch(["sun"], ["ASL"]).ids[0].tolist() == expected


def test_chinese_is_segmented():
    assert words_of("明天下雨。", "zh_CN") == ["明天", "下雨"]


def test_retrieval_can_be_switched_off():
    without = make_generator(0, retrieval_words=0)
    assert without.source.length("sun", "ASL") < make_generator(0).source.length("sun", "ASL")


def test_fused_signs_take_one_position_per_time_step():
    fused, interleaved = make_generator(0, retrieval_form="fused"), make_generator(0)
    sign = sign_of(fused.source, "sun")
    source = fused.source.batch(["sun", "snow"], ["ASL", "DGS"])
    there = (source.codes != ABSENT).all(-1)
    assert there.sum(1).tolist() == [len(sign), 0] and torch.equal(source.codes[0][there[0]], sign)
    assert fused.source.length("sun", "ASL") == interleaved.source.length("sun", "ASL") - 2 * len(sign)


def test_signs_are_dropped_at_the_given_rate():
    source = make_generator(0).source
    torch.manual_seed(0)
    texts, languages = ["rain and sun"] * 400, ["ASL"] * 400
    whole, lengths = source.length(texts[0], "ASL"), source.batch(texts, languages, drop=0.3).mask.sum(1)
    assert abs((lengths == whole).float().mean() - 0.49) < 0.08
    assert abs((lengths == len(source.text_tokenizer("rain and sun")["input_ids"])).float().mean() - 0.09) < 0.05
    torch.manual_seed(0)
    assert torch.equal(lengths, source.batch(texts, languages, drop=0.3).mask.sum(1))
    assert source.batch(texts, languages).mask.all()


def test_a_text_without_a_known_piece_is_refused(generator):
    with pytest.raises(UserError, match="no token that the text tokenizer knows"):
        generator.source.batch(["\U0001f600 \U0001f600\U0001f680"], ["ASL"])


def test_what_no_token_stands_for_is_said_once(caplog):
    source = make_generator(0).source
    ids = source.batch(["rain \U0001f600 sun", "sun \U0001f600"], ["ASL", "ASL"]).ids
    assert source.text_tokenizer.unk_token_id in ids[0]
    assert [record.getMessage() for record in caplog.records] == [
        "the text tokenizer has no token for '\U0001f600', as in the sentence 'rain \U0001f600 sun': all such signs are one "
        "unknown sign to it"
    ]


@pytest.mark.parametrize("written", ["</s>", "<s>", "<pad>", "en_XX"])
def test_no_text_ends_a_source_or_names_its_locale(written, caplog):
    source = make_generator(0).source
    read, control = source.batch([f"rain {written} sun"], ["DGS"]).ids[0], source.text_tokenizer.all_special_ids
    known = [token for token in read.tolist() if token in control and token != source.text_tokenizer.unk_token_id]
    assert known == source.text_tokenizer.convert_tokens_to_ids(["</s>", "de_DE"]) and repr(written) in caplog.text
    with pytest.raises(UserError, match="no token that the text tokenizer knows"):
        source.batch([written], ["DGS"])


def test_an_endless_sentence_is_cut_and_said_so(generator, caplog):
    assert generator.source.length("rain " * 1000, "ASL") < 256 + 60
    assert "has 1000 tokens, of which the first 256 are signed" in caplog.text


def test_a_sentence_of_another_script_is_said_so(generator, caplog):
    generator.source.batch(["rain \u96e8\u5929"], ["ASL"])
    assert "holds '\u96e8\u5929', which is of another language" in caplog.text


def test_however_a_text_is_spelled_it_is_read_the_same(generator):
    read = [generator.source.batch([text], ["DGS"]).ids.tolist() for text in ("u\u0308ber  Nacht ", "\u00fcber Nacht")]
    assert read[0] == read[1]
    assert generator.source.length("\u96e8 \u5929", "DGS") == generator.source.length("\u96e8\u5929", "DGS")


def test_sentences_are_looked_up_once_until_many_others_were(monkeypatch):
    monkeypatch.setattr("soke.generator.source._REMEMBERED", 3)
    source, looked = make_generator(0).source, []
    look = source._checked_ids
    monkeypatch.setattr(source, "_checked_ids", lambda text, language: looked.append(text) or look(text, language))
    for text in ("a", "b", "a", "c", "a", "d", "a", "b"):
        assert source.length(text, "ASL") == len(source.text_tokenizer(text)["input_ids"])
    assert looked == ["a", "b", "c", "d", "b"], "b is the one that was not asked for longest"


def test_a_locale_that_mbart_does_not_have_is_refused():
    source = make_generator(0, locales={"ASL": "pt_XX"}).source
    with pytest.raises(UserError, match="does not have pt_XX, the locale of ASL"):
        source.batch(["sun"], ["ASL"])


def test_sources_end_with_the_locale_that_the_generator_keeps_for_a_sign_language():
    source = make_generator(0, languages=["BSL", "DGS"], locales={"BSL": "fr_XX"}).source
    last = [source.batch(["sun"], [language]).ids[0, -1] for language in ("BSL", "DGS")]
    assert last == source.text_tokenizer.convert_tokens_to_ids(["fr_XX", "de_DE"])
