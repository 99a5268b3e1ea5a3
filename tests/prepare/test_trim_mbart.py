"""A trimmed mBART reads the corpora's sentences as the whole one does."""
from __future__ import annotations

import json
import shutil

import pytest
import sentencepiece
import torch
from transformers import MBartForConditionalGeneration

from prepare import trim_mbart
from prepare.small_mbart import LANGUAGE_CODES, corpus_texts, make_mbart, train_sentencepiece
from prepare.trim_mbart import kept_ids, trim
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.text_tokenizer import SENTENCEPIECE_FILE, load_text_tokenizer
from soke.tokenizer.codes import Codes
from tests.generator.helpers import make_spec

SPEC = make_spec(streams={"body": 8, "lhand": 8, "rhand": 8})


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora") / "tiny"
    write_corpora(root, "tiny", 7)
    return root


@pytest.fixture(scope="module")
def whole(corpora, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mbart"
    make_mbart(corpus_texts(corpora), out, "tiny", 7)
    return out


@pytest.fixture(scope="module")
def texts(corpora):
    """The sentences of one language only, so that there is something to trim."""
    return sorted(set(text for text in corpus_texts(corpora) if text.isascii()))


@pytest.fixture(scope="module")
def trimmed(whole, texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("trimmed") / "mbart"
    assert trim(whole, texts, out)
    return out


def test_every_sentence_is_cut_as_before(whole, trimmed, texts):
    before, after = load_text_tokenizer(whole), load_text_tokenizer(trimmed)
    assert len(after) < len(before)
    for text in texts:
        tokens = [t.convert_ids_to_tokens(t(text)["input_ids"]) for t in (before, after)]
        assert tokens[0] == tokens[1]


def test_ids_are_contiguous_and_specials_in_place(trimmed):
    tokenizer = load_text_tokenizer(trimmed)
    assert [tokenizer.convert_tokens_to_ids(t) for t in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert None not in tokens and len(set(tokens)) == len(tokens)
    assert tokens[-26:] == [*LANGUAGE_CODES, "<mask>"]
    config = json.loads((trimmed / "config.json").read_text())
    assert config["vocab_size"] == len(tokenizer) == json.loads((trimmed / "trim.json").read_text())["after"]


def test_the_model_says_the_same_of_the_pieces_that_are_left(whole, trimmed, texts):
    kept = torch.tensor(kept_ids(load_text_tokenizer(whole), texts))
    logits = []
    for folder in (whole, trimmed):
        model = MBartForConditionalGeneration.from_pretrained(folder).eval()
        inputs = load_text_tokenizer(folder)(texts[:4], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits.append(model(**inputs, decoder_input_ids=inputs["input_ids"]).logits)
    torch.testing.assert_close(logits[1], logits[0][..., kept], atol=1e-5, rtol=1e-5)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr(), "tied as before"


def test_other_text_can_still_be_encoded(trimmed):
    tokenizer = load_text_tokenizer(trimmed)
    for text in ("Xylophon", "Übergrößenträger", "zoé 42%"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]).strip()
    assert tokenizer.unk_token_id in tokenizer("🙂 明天", add_special_tokens=False)["input_ids"]


def test_the_generator_starts_from_it(trimmed):
    generator = SignGenerator.from_mbart(trimmed, SPEC, {})
    (codes,) = generator.generate(["regen"], ["DGS"])
    assert codes.shape[1] == 3


def test_again_and_for_other_texts(whole, trimmed, texts):
    assert not trim(whole, texts, trimmed)
    with pytest.raises(UserError, match="trimmed for other texts, from another one or by .*: remove it"):
        trim(whole, texts[:3], trimmed)
    with pytest.raises(UserError, match="is there already and holds no trimmed mBART"):
        trim(whole, texts, whole)


def test_a_locale_of_ones_own_stays_a_special_token(texts, tmp_path):
    make_mbart(texts, tmp_path / "own", "tiny", 7, ["xx_XX"])
    trim(tmp_path / "own", texts[:9], tmp_path / "out")
    tokenizer = load_text_tokenizer(tmp_path / "out")
    locale = tokenizer.convert_tokens_to_ids("xx_XX")
    assert locale == len(tokenizer) - 2  # before <mask>, as in the whole one
    assert tokenizer.decode([locale, *tokenizer.encode("the dog")], skip_special_tokens=True) == "the dog"


def test_missing_files_are_all_named(whole, tmp_path):
    with pytest.raises(UserError, match=r"lacks config.json; model.safetensors or .*; tokenizer.json or .*: download"):
        trim_mbart.main(["--model", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    shutil.copytree(whole, tmp_path / "part", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match=r"lacks model.safetensors or .* or pytorch_model.bin:"):
        trim(tmp_path / "part", ["a"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_that_would_be_cut_differently_stops_it(whole, texts, tmp_path, monkeypatch):
    few = kept_ids(load_text_tokenizer(whole), texts[:1])
    monkeypatch.setattr(trim_mbart, "kept_ids", lambda *_: few)
    with pytest.raises(UserError, match="cut this text differently, so nothing was written"):
        trim(whole, texts, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_texts_are_read_as_sentencepiece_itself_reads_them(whole, tmp_path):
    text = "今天，下雨？！ ﬁn"
    assert trim(whole, [text], tmp_path / "out")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(whole / SENTENCEPIECE_FILE))
    tokenizer = load_text_tokenizer(tmp_path / "out")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert tokens == processor.id_to_piece(processor.encode(text)) and {",", "?", "!"} <= set(tokens)


def test_a_sentencepiece_model_of_another_download_stops_it(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "mixed")
    (tmp_path / "mixed" / SENTENCEPIECE_FILE).write_bytes(train_sentencepiece(["something else"], 100))
    with pytest.raises(UserError, match="reads '今天' as .*<unk>, but .* nothing was written"):
        trim(tmp_path / "mixed", ["今天"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_trained_in_float32(whole, tmp_path, dtype):
    shutil.copytree(whole, tmp_path / "half")
    MBartForConditionalGeneration.from_pretrained(whole, dtype=dtype).save_pretrained(tmp_path / "half")
    generator = SignGenerator.from_mbart(tmp_path / "half", SPEC, {})
    assert {weight.dtype for weight in generator.parameters()} == {torch.float32}
    codes = Codes(torch.zeros(1, 3, 3, dtype=torch.long), torch.tensor([3]))
    generator(["regen"], ["DGS"], codes).loss.backward()
    generator.save_pretrained(tmp_path / "saved")
    again = SignGenerator.from_pretrained(tmp_path / "saved")
    assert {weight.dtype for weight in again.parameters()} == {torch.float32}
    assert torch.equal(again.generate(["regen"], ["DGS"])[0], generator.generate(["regen"], ["DGS"])[0])


def test_the_command_reads_the_corpora_of_a_configuration(corpora, whole, tmp_path, capsys):
    roots = [f"DATASET.CORPORA.{n}.ROOT={corpora / f}" for n, f in
             (("how2sign", "How2Sign"), ("csl", "CSL-Daily"), ("phoenix", "Phoenix_2014T"))]
    assets = tmp_path / "assets.yaml"
    assets.write_text(f"DATASET: {{LEXICON: {corpora / 'lexicon'}}}\n")
    trim_mbart.main(["--model", str(whole), "--cfg_assets", str(assets), "--out", str(tmp_path / "out"), *roots])
    assert "is made" in capsys.readouterr().out
    before, after = load_text_tokenizer(whole), load_text_tokenizer(tmp_path / "out")
    for text in corpus_texts(corpora):
        assert before.tokenize(text) == after.tokenize(text)
