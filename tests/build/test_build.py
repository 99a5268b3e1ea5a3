"""Every shipped configuration builds its models."""
from __future__ import annotations

import typing
from collections.abc import Sequence

import pytest
import torch

from soke.build.body import layout_of
from soke.build.readers import CORPORA
from soke.build.stages import stage_of
from soke.data.settings import KNOWN_CORPORA
from soke.errors import UserError
from soke.generator.schemes import SCHEMES
from soke.generator.settings import Generator, Search
from soke.run.config import load_config, resolve
from soke.tokenizer.tokenizer import SignTokenizer
from tests.run.test_config import RUNNABLE


def make_tokenizer(file: str, overrides: Sequence[str] = ()) -> SignTokenizer:
    config = load_config(file, overrides=overrides)
    layout = layout_of(config)
    blank = {part: torch.zeros(size) for part, size in layout.sizes.items()}
    return SignTokenizer(layout, blank, blank, config.tokenizer.autoencoders(config.parts))


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "back_translation" not in file])
def test_layout_and_tokenizer(file):
    tokenizer = make_tokenizer(file)
    coupled = "s_motiongpt" in file
    apart = {"body": 24, "lhand": 63, "rhand": 63} if "skels" in file else {"body": 43, "lhand": 45, "rhand": 45}
    assert tokenizer.layout.sizes == ({"whole": 133} if coupled else apart)
    assert tokenizer.streams == ({"whole": 512} if coupled else {"body": 96, "lhand": 192, "rhand": 192})


def test_published_tokenizer_has_the_published_size():
    """18.76 million weights per part, the codebook and its averages not counted."""
    tokenizer = make_tokenizer("configs/deto.yaml")
    for autoencoder in tokenizer.autoencoders.values():
        assert sum(p.numel() for p in autoencoder.parameters()) == pytest.approx(18.76e6, rel=0.005)


def test_wrong_joints_are_named():
    with pytest.raises(UserError, match="PARTS: .*nek"):
        layout_of(load_config("configs/deto.yaml", overrides=["PARTS.body.joints=[nek]"]))


def test_every_choice_of_the_schema_exists():
    assert set(typing.get_args(typing.get_type_hints(Generator)["decoding"])) == set(SCHEMES)
    assert set(KNOWN_CORPORA) == set(CORPORA)


def test_default_search_is_greedy():
    assert load_config("configs/soke.yaml").test.search == Search()


def test_every_corpus_has_a_back_translation_model_of_the_published_size():
    config = load_config("configs/back_translation.yaml")
    each = stage_of(config).models(config)
    assert [c.name for c in each] == [f"back_translation/{name}" for name in ("how2sign", "csl", "phoenix")]
    assert [list(c.dataset.corpora) for c in each] == [["how2sign"], ["csl"], ["phoenix"]]
    t, o = config.translation, config.train.optim
    assert (t.width, t.layers, t.heads, t.feedforward, t.dropout) == (512, 3, 8, 2048, 0.1)
    assert (o.kind, o.lr, o.betas, o.weight_decay) == ("adam", 1e-3, [0.9, 0.998], 1e-3)
    assert (o.schedule, o.eta_min, o.patience, o.factor) == ("plateau", 1e-7, 8, 0.7)
    assert resolve(load_config("configs/soke.yaml").metric.back_translation) == config.run_folder
    soke = load_config("configs/soke.yaml")
    assert stage_of(soke).models(soke) == [soke]
