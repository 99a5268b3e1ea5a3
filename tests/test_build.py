"""Every shipped configuration builds its models."""
from __future__ import annotations

import typing
from collections.abc import Sequence

import pytest
import torch

from soke import build
from soke.config import KNOWN_CORPORA, Generator, SearchConfig, load_config, resolve
from soke.errors import UserError
from soke.generator.schemes import SCHEMES
from soke.generator.search import METHODS, Search
from soke.tokenizer.tokenizer import AutoencoderSettings, SignTokenizer

from .test_config import RUNNABLE


def make_tokenizer(file: str, overrides: Sequence[str] = ()) -> SignTokenizer:
    config = load_config(file, overrides=overrides)
    layout, t = build.layout(config), config.TOKENIZER
    blank = {part: torch.zeros(size) for part, size in layout.sizes.items()}
    settings = {
        part: AutoencoderSettings(size, t.CODE_DIM, t.WIDTH, t.DEPTH, t.DILATION_GROWTH, t.DOWNSAMPLE, t.EMA_DECAY)
        for part, size in t.CODES.items()
    }
    return SignTokenizer(layout, blank, blank, settings)


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "back_translation" not in file])
def test_layout_and_tokenizer(file):
    tokenizer = make_tokenizer(file)
    coupled = "s_motiongpt" in file
    assert tokenizer.layout.sizes == ({"whole": 133} if coupled else {"body": 43, "lhand": 45, "rhand": 45})
    assert tokenizer.codebook_sizes == ({"whole": 512} if coupled else {"body": 96, "lhand": 192, "rhand": 192})


def test_published_tokenizer_has_the_published_size():
    """18.76 million weights per part, the codebook and its averages not counted."""
    tokenizer = make_tokenizer("configs/deto.yaml")
    for autoencoder in tokenizer.autoencoders.values():
        assert sum(p.numel() for p in autoencoder.parameters()) == pytest.approx(18.76e6, rel=0.005)


def test_wrong_joints_are_named():
    parts = "PARTS=[{name: body, joints: [nek]}, {name: lhand, joints: [head]}, {name: rhand, joints: [neck]}]"
    with pytest.raises(UserError, match="PARTS: .*nek"):
        build.layout(load_config("configs/deto.yaml", overrides=[parts]))


def test_every_choice_of_the_schema_exists():
    assert set(typing.get_args(typing.get_type_hints(Generator)["DECODING"])) == set(SCHEMES)
    assert set(typing.get_args(typing.get_type_hints(SearchConfig)["METHOD"])) == set(METHODS)
    assert set(KNOWN_CORPORA) == set(build.CORPORA)


def test_default_search_is_greedy():
    assert build.search(load_config("configs/soke.yaml")) == Search()


def test_senseless_searches_are_refused():
    with pytest.raises(UserError, match="TOP_P must be above 0.*BEAMS must be at least 1"):
        build.search(load_config("configs/soke.yaml", overrides=["TEST.SEARCH.TOP_P=0", "TEST.SEARCH.BEAMS=0"]))


def test_every_corpus_has_a_back_translation_model_of_the_published_size():
    config = load_config("configs/back_translation.yaml")
    each = config.per_model()
    assert [c.NAME for c in each] == [f"back_translation/{name}" for name in ("how2sign", "csl", "phoenix")]
    assert [list(c.DATASET.CORPORA) for c in each] == [["how2sign"], ["csl"], ["phoenix"]]
    t, o = config.TRANSLATION, config.TRAIN.OPTIM
    assert (t.WIDTH, t.LAYERS, t.HEADS, t.FEEDFORWARD, t.DROPOUT) == (512, 3, 8, 2048, 0.1)
    assert (o.LR, o.BETAS, o.WEIGHT_DECAY, o.ETA_MIN, t.PATIENCE, t.DECAY) == (1e-3, [0.9, 0.998], 1e-3, 1e-7, 8, 0.7)
    assert resolve(load_config("configs/soke.yaml").METRIC.BACK_TRANSLATION) == config.run_folder
    assert load_config("configs/soke.yaml").per_model() == [load_config("configs/soke.yaml")]
