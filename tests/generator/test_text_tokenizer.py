"""The text tokenizer reads every text as sentencepiece itself does, however its folder came to be."""
from __future__ import annotations

import io
import json
import pickle
import random
from copy import deepcopy

import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import MBartConfig, MBartTokenizer

from prepare.small_mbart import mbart_vocabulary
from soke.errors import UserError
from soke.generator.text_tokenizer import (
    AS_THEY_ARE,
    SENTENCEPIECE_FILE,
    TOKENIZER_FILE,
    TextTokenizer,
    load_text_tokenizer,
    normaliser_of,
)
from soke.text.spelling import spelled

TEXTS = [
    "你好，小张！今年四岁？", "他说：“今天（星期六）下雨。”", "tiefer luftdruck bestimmt unser wetter .",
    "Hi, what's your office like? It's fine!", "１２３ ＡＢＣ café ½ ﬁnal", "Regen, Schnee; und Wind!",
]
# Full-width signs, letters and half-width kana, ligatures, fractions and squares; blanks of all widths and of none;
# marks that combine with what stands before them, or with nothing; Hangul in parts; what no piece has.
ODD = [
    *"，？！：；（）～％ＡａＺ１９￥", *"ｶﾞﾟｱﾊ", *"ﬁﬀĳǆ½²①㎏㍿℃™…ﷺ", *"\u00a0\u3000\u2003\u200b\u200c\u200d\ufeff\u00ad ",
    *"\u0301\u0308\u0323\u0302\u3099\ufe0f\u20e3", *"\u1112\u1161\u11ab한가", *"aEé犇水か。𝐀🙂", " regen ", "你好",
]


def trained(rule: str) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_writer=model, vocab_size=150, hard_vocab_limit=False,
        character_coverage=1.0, normalization_rule_name=rule, num_threads=1, minloglevel=2,
    )
    return model.getvalue()


MODELS = {rule: trained(rule) for rule in ("nmt_nfkc", "identity", "nfkc_cf")}


def ids_of_sentencepiece(model: bytes, text: str) -> list[int]:
    """mBART's ids follow sentencepiece's by one, but for those of its specials."""
    return [id + 1 if id >= 3 else 3 for id in sentencepiece.SentencePieceProcessor(model_proto=model).encode(text)]


def folder_of(tmp_path, rule: str, form: str):
    """A folder as downloads, this framework or transformers alone write it."""
    MBartConfig().save_pretrained(tmp_path)
    model = MODELS[rule]
    tokenizer = MBartTokenizer(vocab=mbart_vocabulary(model))
    if form == "sentencepiece":
        (tmp_path / SENTENCEPIECE_FILE).write_bytes(model)
    elif form == "transformers":
        tokenizer.save_pretrained(tmp_path)
    elif form == "saved":
        TextTokenizer(tokenizer, normaliser_of(model)).save_pretrained(tmp_path)
    else:  # as the converters of transformers 4 wrote it
        tokenizer.save_pretrained(tmp_path)
        content = json.loads((tmp_path / TOKENIZER_FILE).read_text(encoding="utf-8"))
        blanks = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
        content["normalizer"] = {"type": "Sequence", "normalizers": [normaliser_of(model), blanks]}
        (tmp_path / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("rule", "form"), [
    *((rule, form) for rule in MODELS for form in ("sentencepiece", "saved", "converted")),
    ("nmt_nfkc", "transformers"), ("identity", "transformers"),
])
def test_odd_texts_are_cut_as_by_sentencepiece(tmp_path, rule, form):
    tokenizer, draw = load_text_tokenizer(folder_of(tmp_path, rule, form)), random.Random(0)
    parts = [*ODD, "\t", "\u2581"] if rule == "nmt_nfkc" else ODD  # which the other rules take for letters
    odd = [*parts, *("".join(draw.choices(parts, k=draw.randint(0, 8))) for _ in range(500))]
    texts = [*TEXTS, *map(spelled, odd)]
    if rule != "identity":  # which takes all blanks but one for letters
        texts += odd
    for text, found in zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"]):
        assert found == ids_of_sentencepiece(MODELS[rule], text), ascii(text)
    assert tokenizer.encode(texts[0])[:-2] == tokenizer.convert_tokens_to_ids(tokenizer.tokenize(texts[0]))
    assert tokenizer.unk_token_id not in tokenizer(TEXTS[0])["input_ids"]


def test_a_missing_normaliser_is_replaced_and_said_so(tmp_path, caplog):
    tokenizer = load_text_tokenizer(folder_of(tmp_path, "nmt_nfkc", "transformers"))
    assert tokenizer.normaliser == normaliser_of(MODELS["nmt_nfkc"])
    assert "names no normaliser: mBART's own (nmt_nfkc) is taken" in caplog.text


def test_pieces_of_texts_that_were_not_normalised_stay_without(tmp_path, caplog):
    tokenizer = load_text_tokenizer(folder_of(tmp_path, "identity", "transformers"))
    assert tokenizer.normaliser == AS_THEY_ARE and "，" in tokenizer.tokenize(TEXTS[0]) and not caplog.records


@pytest.mark.parametrize("rule", MODELS)
def test_what_is_written_is_read_again(tmp_path, rule):
    first = load_text_tokenizer(folder_of(tmp_path / "a", rule, "sentencepiece"))
    first.save_pretrained(tmp_path / "b")
    MBartConfig().save_pretrained(tmp_path / "b")
    again = load_text_tokenizer(tmp_path / "b")
    assert len(again) == len(first) and [again.encode(t) for t in TEXTS] == [first.encode(t) for t in TEXTS]
    # other programs find the normaliser, too
    other = Tokenizer.from_file(str(tmp_path / "b" / TOKENIZER_FILE))
    assert other.encode(TEXTS[0], add_special_tokens=False).ids == first.encode(TEXTS[0], add_special_tokens=False)


@pytest.mark.parametrize("copied", [deepcopy, lambda tokenizer: pickle.loads(pickle.dumps(tokenizer))])
def test_a_copy_reads_the_same(tmp_path, copied):
    tokenizer = load_text_tokenizer(folder_of(tmp_path, "nmt_nfkc", "sentencepiece"))
    assert copied(tokenizer).encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


@pytest.mark.parametrize("name", [SENTENCEPIECE_FILE, TOKENIZER_FILE])
def test_a_damaged_file_is_named(tmp_path, name):
    MBartConfig().save_pretrained(tmp_path)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match="the text tokenizer in .* cannot be read .*: download it again"):
        load_text_tokenizer(tmp_path)
