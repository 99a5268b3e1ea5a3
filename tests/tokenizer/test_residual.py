"""A residual quantizer is the sum of its levels, each of what those before it lack."""
from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from soke.tokenizer.quantizers import new_quantizer
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
from soke.tokenizer.quantizers.residual import ResidualQuantizer
from soke.tokenizer.settings import Ema, Fsq, Residual, Vq
from tests.tokenizer.helpers import started

LEVELS = {
    "ema": Ema(codes=7, decay=0.9), "vq": Vq(codes=7, decay=0.9), "fsq": Fsq(levels=(5, 4, 3), bound="standard"),
}


def quantizer(kind: str, count: int = 3) -> ResidualQuantizer:
    """In evaluation mode."""
    torch.manual_seed(0)
    made = new_quantizer(Residual(count=count, of=LEVELS[kind]), 4)
    for level in made.levels:
        if isinstance(level, CodebookQuantizer):
            started(level)
    return made.eval()


def latents(batch: int = 3, steps: int = 10, seed: int = 1) -> Tensor:
    return torch.randn(batch, 4, steps, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", LEVELS)
def test_it_is_the_sum_of_its_levels(kind):
    made, x = quantizer(kind), latents()
    rest, total, codes = x.clone(), torch.zeros_like(x), []
    for level in made.levels:
        codes.append(level.encode(rest))
        total = total + level.decode(codes[-1])
        rest = x - total
    found = made(x)
    assert found.codes.shape == (3, 10, 3) and made.sizes == tuple(LEVELS[kind].sizes) * 3
    assert torch.equal(found.codes, torch.cat(codes, dim=2)) and torch.equal(made.encode(x), found.codes)
    assert torch.equal(found.quantized, total) and torch.equal(made.decode(found.codes), total)


@pytest.mark.parametrize("kind", ["ema", "vq"])
def test_gradients_pass_straight_through_once(kind):
    made, x, weights = quantizer(kind), latents().requires_grad_(), latents(seed=2)
    (made(x).quantized * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights, rtol=0, atol=1e-6)


def test_gradients_reach_every_level_without_a_codebook():
    made, x = quantizer("fsq"), latents().requires_grad_()
    found = made(x)
    (found.quantized - x.detach()).square().mean().backward()
    assert x.grad.any() and all(p.grad is not None and p.grad.any() for p in made.parameters())
    assert found.commitment == 0 and found.loss == 0


@pytest.mark.parametrize("kind", ["ema", "vq"])
def test_the_commitment_pulls_to_the_sum_after_every_level(kind):
    made, x = quantizer(kind), latents().requires_grad_()
    mask = torch.arange(10) < torch.tensor([10, 4, 0])[:, None]
    found = made(x, mask)
    sums = torch.stack(
        [level.decode(found.codes[..., i : i + 1]) for i, level in enumerate(made.levels)]
    ).cumsum(0).detach()
    off = (x.detach() - sums).transpose(2, 3)[:, mask]  # [levels, N, D]
    torch.testing.assert_close(found.commitment.detach(), off.square().mean((1, 2)).sum())
    found.commitment.backward()
    torch.testing.assert_close(x.grad.transpose(1, 2)[mask], (2 * off / off[0].numel()).sum(0))
    assert not x.grad.transpose(1, 2)[~mask].any()


def test_every_level_learns_as_it_does_alone():
    """From what the levels before it leave, with their codebooks as they were in the pass."""
    made = quantizer("ema", count=2).train()
    alone = [copy.deepcopy(level) for level in made.levels]
    for seed in range(3):
        x = latents(seed=seed, steps=40)
        made(x)
        alone[1](x - alone[0](x).vectors)
    for level, expected in zip(made.levels, alone):
        torch.testing.assert_close(level.state_dict(), expected.state_dict())


def test_a_vq_level_s_vectors_are_pulled_to_what_is_left():
    made, x = quantizer("vq", count=2), latents()
    made(x).loss.backward()
    first, second = made.levels
    with torch.no_grad():
        rest = x - first.decode(first.encode(x))
    expected = second(rest).loss
    second.codebook.grad, found = None, second.codebook.grad
    expected.backward()
    torch.testing.assert_close(found, second.codebook.grad)


def test_more_levels_leave_less():
    """With codebooks that learn."""
    torch.manual_seed(0)
    left = []
    for count in (1, 2, 3):
        made = new_quantizer(Residual(count=count, of=Ema(codes=8, decay=0.9)), 4)
        for seed in range(60):
            made(latents(batch=8, seed=seed))
        x = latents(batch=8, seed=99)
        left.append((x - made.eval()(x).quantized).square().mean().item())
    assert left[1] < 0.7 * left[0] and left[2] < 0.7 * left[1]


def test_half_precision_contexts_change_nothing():
    made, x = quantizer("ema"), latents()
    expected = made(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made(x)
    assert torch.equal(found.codes, expected.codes) and torch.equal(found.quantized, expected.quantized)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(sorted(LEVELS)), count=st.integers(1, 4), batch=st.integers(0, 3), steps=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_codes_are_decoded_to_what_the_pass_gave_for_any_size(kind, count, batch, steps, seed):
    made, x = quantizer(kind, count), latents(batch, steps, seed)
    found = made(x)
    assert found.codes.shape == (batch, steps, count)
    assert all((column < size).all() for column, size in zip(found.codes.unbind(2), made.sizes))
    assert torch.equal(made.encode(x), found.codes) and torch.equal(made.decode(found.codes), found.quantized)
