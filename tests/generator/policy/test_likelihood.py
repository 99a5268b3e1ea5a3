"""The log-probability of a sample is that with which the generation loop draws it, in every scheme."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soke.data.clip import Clip
from soke.generator.decoder import StepDecoder
from soke.generator.model import SignGenerator
from soke.generator.policy.likelihood import Samples, distributions, drawn, log_probabilities
from soke.generator.schemes import ABSENT, SCHEMES
from soke.generator.search import decision
from soke.generator.settings import Search
from tests.generator.helpers import M3T, make_generator

SENTENCES = [("rain tomorrow", "ASL"), ("morgen regen", "DGS"), ("snow and sun", "ASL")]
CLIPS = [Clip(text, "c", "train", language, text, Path(), 24.0) for text, language in SENTENCES]
SEARCHES = {
    "all": Search("sample", seed=5),
    "filtered": Search("sample", temperature=0.7, top_k=4, top_p=0.9, seed=5),
    "long": Search("sample", temperature=1.3, min_steps=3, seed=5),
}


@torch.no_grad()
def slow(model: SignGenerator, clip: Clip, output: torch.Tensor, search: Search) -> torch.Tensor:
    """[R, S], one step of one sample after the other, by the probabilities that the loop itself draws from."""
    rows, steps, _ = output.shape
    states, mask = model._sources([clip.text], [clip.language], [clip])
    logits_of = model.heads.matrix(model.mbart.shared.weight)
    width = model.heads.columns.shape[1]
    state = decision(search, model.scheme, [(0, clip.text, clip.language)], width, steps, model.device)
    state.noise = torch.zeros_like(state.noise)
    decoder = StepDecoder(model.mbart.decoder, states, mask, rows, steps)
    inputs, found = model._start([clip.language]).flatten(0, 1), torch.zeros(rows, steps)
    for step in range(steps):
        legal = state.legal(model.heads.padded(decoder.step(inputs), logits_of), step).softmax(-1)  # [R, P, V + 1]
        said = output[:, step]
        for row in range(rows):
            active = [p for p in range(said.shape[1]) if said[row, p] != ABSENT]
            ends = [p for p in active if said[row, p] == model.scheme.sizes[p]]
            if ends:
                nobody = math.prod(1 - legal[row, p, -1].item() for p in active)
                found[row, step] = math.log(1 - nobody)
            elif active:
                found[row, step] = sum(math.log(legal[row, p, said[row, p]].item()) for p in active)
        inputs = model._inputs(torch.where(said == model.scheme.end, ABSENT, said))
    return found


def steps_of(model: SignGenerator, samples: Samples) -> torch.Tensor:
    return log_probabilities(distributions(model, samples), samples.output, model.scheme.end)


CASES = [(d, s, {}) for d in SCHEMES for s in SEARCHES.values()] + [("multi_head", SEARCHES["filtered"], M3T)]


@pytest.mark.parametrize(("decoding", "search", "system"), CASES)
def test_it_is_what_the_loop_draws_by(decoding, search, system):
    model = make_generator(3, decoding=decoding, **system).train()  # dropout must play no part
    samples = drawn(model, CLIPS, search, 2)
    assert samples.output.shape[0] == 6 and samples.each == 2 and model.training
    found = steps_of(model, samples)
    assert found.requires_grad
    slowly = torch.stack([slow(model.eval(), CLIPS[i // 2], rows, search) for i, rows in enumerate(samples.output)])
    torch.testing.assert_close(found.detach(), slowly, atol=2e-4, rtol=2e-4)
    assert not found[~samples.taken].any() and (samples.output == model.scheme.end).any()


@pytest.mark.parametrize("decoding", SCHEMES)
def test_samples_of_a_sentence_are_those_of_their_seeds(decoding):
    model = make_generator(3, decoding=decoding)
    together = drawn(model, CLIPS, SEARCHES["filtered"], 3).output
    for i in range(3):
        alone = model.generate(*zip(*SENTENCES), replace(SEARCHES["filtered"], seed=5 + i), CLIPS)
        for clip, codes in enumerate(alone):
            assert torch.equal(model.scheme.revert(together[3 * clip + i]), codes)
    assert any(not torch.equal(together[0], together[i]) for i in (1, 2))


@pytest.mark.parametrize("decoding", ["multi_head", "sequential"])
def test_probabilities_of_all_outputs_sum_to_one(decoding):
    sizes = [5, 5]
    model = make_generator(1, decoding=decoding, streams={"a": 5, "b": 5}, max_steps=2)
    moments = list(itertools.product(range(5), range(5)))
    outputs = []
    for said in itertools.product(moments, [*moments, None]):
        rows = []
        for moment in said:
            codes = sizes if moment is None else moment
            if decoding == "multi_head":
                rows.append(list(codes))
            else:
                rows += [[codes[0], ABSENT], [ABSENT if moment is None else -2, ABSENT if moment is None else codes[1]]]
        outputs.append(torch.tensor(rows).masked_fill(torch.tensor(rows) == -2, ABSENT)[None])
    samples = Samples([CLIPS[0]], Search("sample"), torch.stack(outputs))
    assert samples.each == 25 * 26
    torch.testing.assert_close(steps_of(model, samples).sum((1, 2)).exp().sum(), torch.tensor(1.0))


def test_a_rare_end_is_exact():
    """Of which 1 - (1 - p)(1 - q) would keep no digit."""
    scores = torch.tensor([[[0.0, -40.0], [0.0, -41.0]]]).expand(1, 1, 1, 2, 2).log_softmax(-1)
    output = torch.full((1, 1, 1, 2), 1)
    found = log_probabilities(scores, output, torch.tensor([1, 1]))
    assert found.item() == pytest.approx(math.log(math.exp(-40) + math.exp(-41)), rel=1e-6)


def test_a_filter_stays_that_of_the_draw():
    """Weights that would leave out what was drawn still give it a probability, among the same codes."""
    model, other = make_generator(3), make_generator(4)
    samples = drawn(model, CLIPS, SEARCHES["filtered"], 4)
    assert steps_of(other, samples).isfinite().all()
    shares = distributions(other, samples).exp()
    assert not shares[~samples.allowed].any()
    torch.testing.assert_close(shares.sum(-1), torch.ones(shares.shape[:-1]))
