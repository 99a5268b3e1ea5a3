"""SignLLM's sizes: how many weights a language has."""
from __future__ import annotations

import pytest
import torch

from soke.regressor.group import GroupSpec, new_group
from soke.run.config import load_config

WORDS, FEATURES = 7000, 150


@pytest.mark.parametrize(
    ("file", "published", "exact"),
    [("signllm_mlsf", 40e6, 39_732_595), ("signllm_mlsf_large", 120e6, 126_442_099), ("signllm_mlsf_super", 1e9, 957_787_763)],
)
def test_a_language_has_as_many_weights_as_published(file, published, exact):
    """Base 40M, Large 120M, Super 1B per language, within 6 %, with 7,000 words and the 50 joints."""
    config = load_config(f"configs/{file}.yaml")
    assert config.regressor.groups == "per_language" and len(config.dataset.corpora) == 8
    spec = GroupSpec(["DGS"], {"DGS": "de_DE"}, {}, {}, [f"w{i}" for i in range(WORDS)], config.regressor)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in new_group(spec, FEATURES).parameters())
    assert count == exact and count == pytest.approx(published, rel=0.06)
