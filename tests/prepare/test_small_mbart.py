"""The small mBART: what transformers, and the framework's own loading code, find in its folder."""
from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, MBartModel, MBartTokenizer

from prepare.small_mbart import LANGUAGE_CODES, SENTENCEPIECE_FILE, STAMP, corpus_texts, main, make_mbart
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.synthetic.corpora import SIZES, TAIL
from soke.data.synthetic.language import write_sentences
from soke.data.synthetic.vocabularies import LANGUAGES
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.retrieval import MARKERS
from soke.generator.text_tokenizer import load_text_tokenizer
from soke.text.locales import TEXT_LOCALE
from tests.generator.helpers import make_spec

SEED = 7


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora") / "tiny"
    write_corpora(root, "tiny", SEED)
    return root


@pytest.fixture(scope="module")
def folder(corpora, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mbart"
    assert make_mbart(corpus_texts(corpora), out, "tiny", SEED)
    return out


def without(folder, target, *names):
    """A copy of `folder` without some files."""
    return shutil.copytree(folder, target, ignore=lambda *_: names)


@pytest.fixture(params=["both", "sentencepiece", "tokenizer.json"])
def tokenizer(request, folder, tmp_path):
    """The tokenizer as a folder gives it that holds both of its files, or one, as downloads do."""
    missing = {
        "both": (),
        "sentencepiece": ("tokenizer.json", "tokenizer_config.json"),
        "tokenizer.json": (SENTENCEPIECE_FILE, "tokenizer_config.json"),
    }[request.param]
    return MBartTokenizer.from_pretrained(str(without(folder, tmp_path / "copy", *missing)), local_files_only=True)


def test_ids_are_laid_out_as_in_mbart(tokenizer):
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    codes = tokenizer.convert_tokens_to_ids(list(LANGUAGE_CODES))
    assert codes == list(range(len(tokenizer) - 26, len(tokenizer) - 1)) and len(codes) == 25
    assert tokenizer.convert_tokens_to_ids("<mask>") == len(tokenizer) - 1
    names = ("bos", "pad", "eos", "unk")
    assert [getattr(tokenizer, f"{name}_token_id") for name in names] == [0, 1, 2, 3]
    assert set(TEXT_LOCALE.values()) <= set(LANGUAGE_CODES)


def test_sources_end_with_the_end_and_the_language(tokenizer):
    for locale, text in {"en_XX": "the dog sleeps", "zh_CN": "小狗睡觉。", "de_DE": "der wind kommt ."}.items():
        tokenizer.src_lang = locale
        ids = tokenizer(text)["input_ids"]
        assert ids[-2:] == [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(locale)]
        body = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids[:-2] == body and min(body) > 3 and max(body) < len(tokenizer) - 26


def test_every_sentence_of_the_corpora_returns(tokenizer):
    for spoken in LANGUAGES:
        for sentences in write_sentences(spoken.with_tail(TAIL["tiny"]), SIZES["tiny"], "another seed").values():
            for sentence in sentences:
                ids = tokenizer(sentence.text, add_special_tokens=False)["input_ids"]
                assert tokenizer.decode(ids) == sentence.text and tokenizer.unk_token_id not in ids


def test_markers_of_retrieved_signs_are_known(tokenizer):
    for marker in MARKERS.values():
        assert tokenizer.unk_token_id not in tokenizer(marker.format(3), add_special_tokens=False)["input_ids"]


def test_unseen_text_is_unknown_not_an_error(tokenizer):
    ids = tokenizer("Ωmega 犇 🙂", add_special_tokens=False)["input_ids"]
    assert ids.count(tokenizer.unk_token_id) == 3
    assert tokenizer("", add_special_tokens=False)["input_ids"] == []


def test_all_ways_to_load_agree(folder, corpora, tmp_path):
    ways = [
        MBartTokenizer.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        load_text_tokenizer(folder),
        MBartTokenizer.from_pretrained(without(folder, tmp_path / "a", "tokenizer.json", "tokenizer_config.json")),
    ]
    for text in corpus_texts(corpora):
        assert len({tuple(tokenizer(text)["input_ids"]) for tokenizer in ways}) == 1


def test_model_loads_and_runs(folder):
    tokenizer = MBartTokenizer.from_pretrained(folder)
    model = MBartModel.from_pretrained(folder).eval()
    saved = load_file(folder / "model.safetensors")
    assert torch.equal(model.shared.weight, saved["model.shared.weight"])
    assert model.shared.weight.shape == (len(tokenizer), 32) and model.config.scale_embedding
    source = tokenizer(["the dog sleeps", "im norden"], padding=True, return_tensors="pt")
    with torch.no_grad():
        out = model(**source, decoder_input_ids=torch.tensor([[2, 5], [2, 6]])).last_hidden_state
    assert out.shape == (2, 2, 32) and out.isfinite().all()


def test_the_seed_decides_everything(folder, corpora, tmp_path):
    assert make_mbart(corpus_texts(corpora), tmp_path / "same", "tiny", SEED)
    for name in ("model.safetensors", "tokenizer.json", "config.json", SENTENCEPIECE_FILE):
        assert (tmp_path / "same" / name).read_bytes() == (folder / name).read_bytes()
    assert make_mbart(corpus_texts(corpora), tmp_path / "other", "tiny", SEED + 1)
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_a_finished_folder_is_left_alone(folder, corpora, capsys):
    before = (folder / STAMP).stat().st_mtime_ns
    main(["--corpora", str(corpora), "--out", str(folder), "--size", "tiny", "--seed", str(SEED)])
    assert "there already" in capsys.readouterr().out and (folder / STAMP).stat().st_mtime_ns == before


def test_an_interruption_leaves_nothing_and_can_be_repeated(corpora, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MBartTokenizer, "save_pretrained", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_mbart(corpus_texts(corpora), tmp_path / "mbart", "tiny", SEED)
    assert not (tmp_path / "mbart").exists()
    assert make_mbart(corpus_texts(corpora), tmp_path / "mbart", "tiny", SEED)
    assert [path.name for path in tmp_path.iterdir()] == ["mbart"]


def test_one_for_the_training_texts_of_a_configuration(corpora, tmp_path):
    roots = [f"DATASET.CORPORA.{n}.ROOT={corpora / f}" for n, f in
             (("how2sign", "How2Sign"), ("csl", "CSL-Daily"), ("phoenix", "Phoenix_2014T"))]
    assets = tmp_path / "assets.yaml"
    assets.write_text(f"DATASET: {{LEXICON: {corpora / 'lexicon'}}}\n")
    asked = ["--cfg", "configs/soke.yaml", "--cfg_assets", str(assets), "--size", "tiny"]
    main([*asked, "--out", str(tmp_path / "mbart"), *roots])
    tokenizer = load_text_tokenizer(tmp_path / "mbart")
    training = [clip.text for reader in (How2Sign(corpora / "How2Sign"), Lexicon(corpora / "lexicon"))
                for clip in reader.clips("train")]
    assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(training)["input_ids"])
    spec = make_spec(streams={"body": 8, "lhand": 8, "rhand": 8})
    (codes,) = SignGenerator.from_mbart(tmp_path / "mbart", spec, {}).generate(["regen"], ["DGS"])
    assert codes.shape[1] == 3


def test_locales_that_mbart_lacks_are_added(tmp_path):
    assert make_mbart(["um dois tr\u00eas"] * 9, tmp_path / "mbart", "tiny", SEED, ["pt_XX", "en_XX", "ku_TR"])
    tokenizer = load_text_tokenizer(tmp_path / "mbart")
    added = tokenizer.convert_tokens_to_ids(["ku_TR", "pt_XX"])
    assert added == [len(tokenizer) - 3, len(tokenizer) - 2] and set(added) < set(tokenizer.all_special_ids)
    assert tokenizer.convert_tokens_to_ids("zh_CN") == len(tokenizer) - 4


def test_more_characters_than_pieces(tmp_path):
    with pytest.raises(UserError, match=r"more different characters than this size has pieces \(300\): .*--size"):
        make_mbart(["".join(map(chr, range(0x4E00, 0x4E00 + 400)))], tmp_path / "mbart", "tiny", SEED)
    assert not (tmp_path / "mbart").exists()


def test_full_width_signs_are_known(folder):
    tokenizer = load_text_tokenizer(folder)
    ids = tokenizer("小狗，睡觉？！", add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids and tokenizer.decode(ids) == "小狗,睡觉?!"


def test_mistakes_end_in_one_sentence(folder, corpora, tmp_path):
    with pytest.raises(UserError, match="holds no synthetic corpora"):
        corpus_texts(tmp_path / "nowhere")
    with pytest.raises(UserError, match="choose another --out"):
        make_mbart(corpus_texts(corpora), folder, "tiny", SEED + 1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="choose another folder"):
        make_mbart(corpus_texts(corpora), tmp_path / "mine", "tiny", SEED)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "corpora.json").write_text(json.dumps({"complete": False}))
    with pytest.raises(SystemExit, match="not complete"):
        main(["--corpora", str(unfinished), "--out", str(tmp_path / "mbart")])
