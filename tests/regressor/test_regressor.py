"""Regressors: what they compute does not depend on how it is computed, nor on what else is in the batch."""
from __future__ import annotations

import json

import pytest
import torch

from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.regressor import PoseRegressor
from tests.regressor.helpers import LAYOUT, SENTENCES, assert_close, batch_of, clip, regressor, samples

KINDS = (
    {}, {"just_counter": True}, {"future": 4}, {"start": "mean"}, {"groups": "per_language"},
    {"source": "gloss", "loss": "l1", "layers": 1},
)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_cached_decoding_gives_what_uncached_decoding_gives(settings):
    model = regressor(**settings)
    group = next(iter(model.groups.values()))
    memory = group.read([item.clip for item in samples() if item.clip.language == "ASL"]).memory
    frames = torch.randn(len(memory.mask), 7, len(group.deviation) + 1)
    whole, _ = group.network.decode(frames, memory)
    past, steps = None, []
    for step in range(frames.shape[1]):
        output, past = group.network.decode(frames[:, step : step + 1], memory, past)
        steps.append(output)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_batch_gives_what_each_clip_gives_alone(settings):
    """Padding, other clips and other languages change nothing, neither errors nor what is generated."""
    model, items = regressor(**settings), samples()
    batch = batch_of(items)
    together = model(batch.clips, batch.features, batch.lengths)
    made = model.generate(batch.clips, 9)
    for row, item in enumerate(items):
        single = batch_of([item])
        alone = model(single.clips, single.features, single.lengths)
        for name in ("errors", "squared", "counter", "frames"):
            torch.testing.assert_close(getattr(together, name)[row], getattr(alone, name)[0], atol=1e-5, rtol=1e-4)
        assert_close(made.features[row], model.generate([item.clip], 9).features[0])


def test_a_saved_regressor_is_the_same(tmp_path):
    model = regressor(groups="per_language")
    model.save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model" / "groups").iterdir()) == ["ASL", "DGS"]
    loaded = PoseRegressor.from_pretrained(tmp_path / "model")
    assert loaded.hash == model.hash and loaded.conditions == model.conditions and loaded.layout == LAYOUT
    sentences = [Typed(*sentence) for sentence in SENTENCES]
    for ours, theirs in zip(model.generate(sentences, 6).features, loaded.generate(sentences, 6).features):
        assert_close(theirs, ours)
    file = tmp_path / "model" / "groups" / "DGS" / "group.json"
    plain = json.loads(file.read_text())
    file.write_text(json.dumps({**plain, "locales": {"DGS": "en_XX"}}))
    with pytest.raises(UserError, match="do not belong together"):
        PoseRegressor.from_pretrained(tmp_path / "model")
    file.unlink()
    with pytest.raises(UserError, match="cannot be read .FileNotFoundError"):
        PoseRegressor.from_pretrained(tmp_path / "model")


def test_a_language_that_nobody_has_learnt_is_refused():
    with pytest.raises(UserError, match="does not sign LSF: it has learnt ASL, DGS"):
        regressor().generate([Typed("pluie", "LSF")], 5)
    with pytest.raises(UserError, match="typed: its text is empty"):
        regressor().generate([Typed("  ", "ASL")], 5)
    with pytest.raises(UserError, match="clip c0 has no glosses"):
        regressor(source="gloss").generate([clip("rain", "ASL")], 5)
