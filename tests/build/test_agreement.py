"""What a saved model contradicts is named, key by key, with both values; what it was trained with is not."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from soke.build import agreement
from soke.build.body import layout_of
from soke.build.tokenizer import coder_of
from soke.errors import UserError
from soke.run.changes import flat
from soke.run.config import Config, load_config, to_plain
from soke.settings import TransformerSettings
from tests.build.test_build import make_tokenizer
from tests.generator.helpers import make_spec

FOLDER = Path("models/x")
SMALL = ("TOKENIZER.WIDTH=8", "TOKENIZER.CODE_DIM=8", "TOKENIZER.DEPTH=1")


def config(file: str, *overrides: str) -> Config:
    return load_config(f"configs/{file}.yaml", overrides=[*SMALL, *overrides])


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer("configs/deto.yaml", SMALL)


def check_generator(tokenizer, *overrides: str, signs: bool = True, **spec) -> None:
    """Against a generator that was trained with configs/soke.yaml."""
    trained = make_spec(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash, **spec)
    lexicon = SimpleNamespace(recordings={"ASL": {"dog": torch.zeros(1, 3)}} if signs else {})
    generator = SimpleNamespace(spec=trained, source=SimpleNamespace(lexicon=lexicon))
    asked = config("soke", *overrides)
    agreement.check_generator(asked, layout_of(asked), generator, tokenizer, FOLDER)


def refused(told: str):
    return pytest.raises(UserError, match=f"the model in {FOLDER} was trained with .*{re.escape(told)}")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("GENERATOR.DECODING=parallel", "GENERATOR.DECODING: multi_head -> parallel"),
        ("GENERATOR.HEADS=tied", "GENERATOR.HEADS: separate -> tied"),
        ("GENERATOR.FUSION={body: 1, lhand: 2, rhand: 2}", "GENERATOR.FUSION: null -> {'body': 1.0"),
        ("GENERATOR.MAX_STEPS=50", "GENERATOR.MAX_STEPS: 100 -> 50"),
        ("GENERATOR.MAX_SOURCE=50", "GENERATOR.MAX_SOURCE: 256 -> 50"),
        ("GENERATOR.TRANSLATION=0.5", "GENERATOR.TRANSLATION: 0.0 -> 0.5"),
        ("GENERATOR.RETRIEVAL.WORDS=0", "GENERATOR.RETRIEVAL.WORDS: 3 -> 0"),
        ("GENERATOR.RETRIEVAL.STEPS=3", "GENERATOR.RETRIEVAL.STEPS: 10 -> 3"),
        ("GENERATOR.RETRIEVAL.MATCH=soke_substring", "GENERATOR.RETRIEVAL.MATCH: token -> soke_substring"),
        ("GENERATOR.RETRIEVAL.FORM=fused", "GENERATOR.RETRIEVAL.FORM: interleaved -> fused"),
        ("GENERATOR.RETRIEVAL.DROP=0.5", "GENERATOR.RETRIEVAL.DROP: 0.0 -> 0.5"),
        ("GENERATOR.RETRIEVAL.RECORDING=medoid", "GENERATOR.RETRIEVAL.RECORDING: first -> medoid"),
        ("GENERATOR.RETRIEVAL.KEYWORDS=lists", "GENERATOR.RETRIEVAL.KEYWORDS: '' -> lists"),
        ("GENERATOR.RETRIEVAL.WORD_CODES=x.json", "GENERATOR.RETRIEVAL.WORD_CODES: '' -> x.json"),
        ("DATASET.LEXICON=null", "DATASET.LEXICON: a lexicon -> null"),
        ("PARTS.lhand.quantizer.codes=8", "PARTS.lhand.quantizer.codes: 192 -> 8"),
        ("TOKENIZER.DOWNSAMPLE=2", "TOKENIZER.DOWNSAMPLE: 4 -> 2"),
        ("DATASET.FRAMES=smplfx", "DATASET.FRAMES: soke -> smplfx"),
    ],
)
def test_a_generator_s_settings(tokenizer, override, told):
    with refused(told):
        check_generator(tokenizer, override)


def test_every_setting_of_a_generator_is_held_against_the_model(tokenizer):
    """One that is added later, too: MBART is where training started, SIMILAR may change with every test, and
    dropout is of training alone."""
    other = {
        "MBART": "elsewhere", "DECODING": "parallel", "PROMPTS": "language_and_part", "HEADS": "tied",
        "TEXT_HEAD": "separate", "FUSION": "{body: 1, lhand: 2, rhand: 2}", "MAX_STEPS": 7, "MAX_SOURCE": 7,
        "TRANSLATION": 0.5, "RETRIEVAL.WORDS": 1, "RETRIEVAL.STEPS": 1,
        "RETRIEVAL.MATCH": "soke_substring", "RETRIEVAL.SIMILAR": 0.5, "RETRIEVAL.RECORDING": "longest",
        "RETRIEVAL.KEYWORDS": "lists", "RETRIEVAL.WORD_CODES": "x.json", "RETRIEVAL.FORM": "fused",
        "RETRIEVAL.DROP": 0.5, **dict.fromkeys(("DROPOUT", "ATTENTION_DROPOUT", "ACTIVATION_DROPOUT", "LAYERDROP"), 0.5),
    }
    assert set(flat(to_plain(config("soke").generator))) == set(other)
    for key, value in other.items():
        if key in ("MBART", "RETRIEVAL.SIMILAR") or key.endswith(("DROPOUT", "LAYERDROP")):
            check_generator(tokenizer, f"GENERATOR.{key}={value}")
        else:
            with refused(f"GENERATOR.{key}: "):
                check_generator(tokenizer, f"GENERATOR.{key}={value}")


def test_what_it_was_trained_with_and_what_a_test_may_change_is_not_refused(tokenizer):
    check_generator(tokenizer)
    check_generator(tokenizer, "GENERATOR.RETRIEVAL.SIMILAR=0.7", "TEST.SEARCH.METHOD=beam", "TRAIN.OPTIM.LR=1")
    parallel = ("GENERATOR.DECODING=parallel", "GENERATOR.HEADS=tied")
    check_generator(tokenizer, *parallel, decoding="parallel", heads="tied")
    check_generator(tokenizer, "DATASET.LEXICON=null", signs=False)
    check_generator(tokenizer, "GENERATOR.RETRIEVAL.WORDS=0", signs=False, retrieval_words=0)
    with refused("DATASET.LEXICON: null -> data/lexicon"):
        check_generator(tokenizer, signs=False)


def test_another_tokenizer_is_named_where_it_is_there(tokenizer, tmp_path):
    other = make_tokenizer("configs/deto.yaml", SMALL)
    for saved in (tokenizer, other):
        saved.save_pretrained(tmp_path / saved.hash)
    check_generator(tokenizer, f"TOKENIZER.PATH={tmp_path}/{tokenizer.hash}")
    check_generator(tokenizer, f"TOKENIZER.PATH={tmp_path}/moved")
    with refused(f"TOKENIZER.PATH: tokenizer {tokenizer.hash} -> tokenizer {other.hash}"):
        check_generator(tokenizer, f"TOKENIZER.PATH={tmp_path}/{other.hash}")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("TOKENIZER.WIDTH=16", "TOKENIZER.WIDTH: 8 -> 16"),
        ("TOKENIZER.CODE_DIM=16", "TOKENIZER.CODE_DIM: 8 -> 16"),
        ("TOKENIZER.EMA.DECAY=0.5", "PARTS.body.quantizer.decay: 0.99 -> 0.5"),
        ("PARTS.lhand.quantizer={kind: fsq, levels: [8, 5]}", "PARTS.lhand.quantizer.kind: ema -> fsq"),
        ("PARTS.lhand.quantizer={kind: fsq, levels: [8, 5]}", "PARTS.lhand.quantizer.levels: absent -> [8, 5]"),
        ("TOKENIZER.DILATION_GROWTH=2", "TOKENIZER.DILATION_GROWTH: 3 -> 2"),
        ("PARTS.body.expression=0", "PARTS body.expression: 10 -> 0"),
        ("PARTS=[{name: rhand, joints: [right_thumb1], quantizer: {kind: ema, codes: 8}}, {name: body, joints: [neck], "
         "quantizer: {kind: ema, codes: 8}}]", "PARTS: body, lhand, rhand -> rhand, body"),
    ],
)
def test_a_tokenizer_s_settings(tokenizer, override, told):
    asked = config("deto")
    agreement.check_tokenizer(asked, layout_of(asked), tokenizer, FOLDER)
    asked = config("deto", override)
    with refused(told):
        agreement.check_tokenizer(asked, layout_of(asked), tokenizer, FOLDER)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("TRANSLATION.LAYERS=1", "TRANSLATION.LAYERS: 3 -> 1"),
        ("TRANSLATION.DROPOUT=0.5", "TRANSLATION.DROPOUT: 0.1 -> 0.5"),
        ("DATASET.FRAMES=smplfx", "DATASET.FRAMES: soke -> smplfx"),
        ("TRANSLATION.LEVEL=char", "TRANSLATION.LEVEL: word -> char"),
        ("TRANSLATION.PSEUDO_GLOSSES=false", "TRANSLATION.PSEUDO_GLOSSES: True -> False"),
        ("TRANSLATION.MAX_TOKENS=5", "TRANSLATION.MAX_TOKENS: 100 -> 5"),
        ("TRANSLATION.BEAMS=[1, 2]", "TRANSLATION.BEAMS: 3 -> [1, 2]"),
        ("TRANSLATION.LENGTH_PENALTIES=[5]", "TRANSLATION.LENGTH_PENALTIES: 1.0 -> [5.0]"),
    ],
)
def test_a_translator_s_settings(override, told):
    parts = layout_of(config("back_translation"))
    translator = SimpleNamespace(
        layout=parts, language="ASL", beams=3, alpha=1.0, max_tokens=100,
        model=SimpleNamespace(settings=TransformerSettings(512, 3, 8, 2048, 0.1)), form="soke",
        targets=SimpleNamespace(level="word", pseudo=True),
    )
    agreement.check_translator(config("back_translation"), parts, translator, FOLDER)
    with refused(told):
        agreement.check_translator(config("back_translation", override), parts, translator, FOLDER)


def test_the_tokenizer_of_sibleu_sees_what_motions_have(tokenizer, tmp_path):
    """Whatever its sizes, its parts or its codes are; one that sees more would compare codes of what stands still."""
    tokenizer.save_pretrained(tmp_path / "t")

    def coder(file: str, *overrides: str):
        overrides = (f"METRIC.TOKENIZER={tmp_path}/t", "ACCELERATOR=cpu", *overrides)
        return coder_of(load_config(f"configs/{file}.yaml", overrides=overrides))

    assert coder("soke").hash == tokenizer.hash
    assert coder("soke", "PARTS.lhand.quantizer.codes=8").hash == tokenizer.hash
    assert coder("soke", "METRIC.TOKENIZER=''") is None
    with pytest.raises(UserError, match=r"METRIC.TOKENIZER: the tokenizer in .*/t sees .*, which PARTS does not have"):
        coder("soke", "PARTS.body.jaw=false")
    with pytest.raises(UserError, match="METRIC.TOKENIZER: the tokenizer in .*/t sees expression and 34 others, which PARTS"):
        coder("skels/soke")
    with pytest.raises(UserError, match="METRIC.TOKENIZER: .*is for the frames soke, DATASET.FRAMES is smplfx"):
        coder("m3t")


def test_a_reader_without_a_face_reads_the_frames_of_either_form():
    """Which differ in faces alone."""
    corpus = SimpleNamespace(name="csl", language="CSL", annotation_hashes=dict)
    asked = config("m3t")

    def check(*overrides: str):
        layout = layout_of(load_config("configs/back_translation.yaml", overrides=list(overrides)))
        reader = SimpleNamespace(language="CSL", form="soke", layout=layout, provenance={"corpora": ["csl"]})
        agreement.check_scorer(asked, layout_of(asked), reader, corpus, FOLDER, "reader")

    check("PARTS.body.jaw=false", "PARTS.body.expression=0")
    for face in ("PARTS.body.jaw=false", "PARTS.body.expression=0"):
        with pytest.raises(UserError, match=f"the reader in {FOLDER} was trained on the frames soke, DATASET.FRAMES is smplfx"):
            check(face)
