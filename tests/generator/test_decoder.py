"""The cached decoder: step by step what transformers' decoder says of the whole prefix, compiled or not."""

from __future__ import annotations

import shutil

import pytest
import torch

from soke.generator.decoder import StepDecoder
from tests.generator.helpers import make_generator


def whole(model, inputs, states, mask, group):
    """Hidden states [N, S, D] of the transformers decoder over the whole prefix at once."""
    return model.mbart.decoder(
        inputs_embeds=inputs, encoder_hidden_states=states.repeat_interleave(group, 0),
        encoder_attention_mask=mask.repeat_interleave(group, 0), use_cache=False,
    ).last_hidden_state


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(1)
    model = make_generator(1)
    states, mask = model._sources(["rain", "snow and rain tomorrow", "a"], ["ASL", "ASL", "DGS"])
    return model, states.detach(), mask


@torch.no_grad()
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize(
    "compiled",
    [
        False,
        pytest.param(True, marks=[pytest.mark.slow, pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")]),
    ],
)
def test_steps_equal_the_whole_prefix(parts, group, compiled):
    model, states, mask = parts
    inputs = torch.randn(3 * group, 6, 32)
    decoder = StepDecoder(model.mbart.decoder, states, mask, group, 6, compile=compiled)
    hidden = torch.stack([decoder.step(inputs[:, step]) for step in range(6)], dim=1)
    torch.testing.assert_close(hidden, whole(model, inputs, states, mask, group), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rows_go_on_from_their_parents_and_samples_leave(parts):
    model, states, mask = parts
    group, inputs = 2, torch.randn(6, 4, 32)
    decoder = StepDecoder(model.mbart.decoder, states, mask, group, 4)
    for step in range(2):
        decoder.step(inputs[:, step])
    parents = torch.tensor([1, 1, 2, 2, 5, 4])
    decoder.reorder(parents)
    decoder.select(torch.tensor([0, 2]))
    kept = torch.tensor([0, 1, 4, 5])
    prefix = torch.cat([inputs[parents, :2], inputs[:, 2:]], dim=1)[kept]
    hidden = torch.stack([decoder.step(prefix[:, step]) for step in (2, 3)], dim=1)
    expected = whole(model, prefix, states[[0, 2]], mask[[0, 2]], group)[:, 2:]
    torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_compiler_that_fails_is_tried_once_and_done_without(monkeypatch, caplog):
    tried = []

    def broken(*args):
        tried.append(args)
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("soke.generator.decoder._compiled", lambda: broken)
    model = make_generator(1).for_inference(compile=True)
    assert not model.compile and "decoder steps run without it: no compiler here" in caplog.text
    expected = make_generator(1).generate(["rain", "a"], ["ASL", "DGS"])
    assert all(map(torch.equal, model.generate(["rain", "a"], ["ASL", "DGS"]), expected)) and len(tried) == 1


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.slow
def test_what_a_compiled_step_raises_is_not_hidden(monkeypatch, caplog):
    caplog.set_level("INFO")
    model = make_generator(1).for_inference(compile=True)
    assert model.compile and "decoder steps are compiled" in caplog.text

    def broken(*args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("soke.generator.decoder._compiled", lambda: broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.generate(["rain"], ["ASL"])
