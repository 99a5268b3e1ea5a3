"""Finite scalar quantization against its formulas, number by number."""
from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soke.tokenizer.quantizers.fsq import FsqQuantizer

M3T = [(8, 4, 3), (8, 6, 4), (8, 8, 8)]
LEVELS = [*M3T, (8, 5, 5, 5), (3,), (4, 3), (7, 4, 2), (16, 15)]
BOUNDS = ("standard", "symmetric")


def digits_of(latent: list[float], levels: tuple[int, ...], bound: str) -> list[int]:
    """Rounded places of each dimension, as published: round(tanh(z + shift) half - offset), or floor(... + 1/2)."""
    digits = []
    for z, level in zip(latent, levels):
        if bound == "symmetric":
            digits.append(math.floor((level - 1) * (math.tanh(z) + 1) / 2 + 0.5))
            continue
        half = (level - 1) * 1.001 / 2
        offset = 0.5 if level % 2 == 0 else 0.0
        digits.append(round(math.tanh(z + math.atanh(offset / half)) * half - offset) + level // 2)
    return digits


def value_of(digit: int, level: int, bound: str) -> float:
    return 2 * digit / (level - 1) - 1 if bound == "symmetric" else (digit - level // 2) / (level // 2)


def number_of(digits: list[int], levels: tuple[int, ...]) -> int:
    """The first dimension changes fastest."""
    return sum(digit * math.prod(levels[:i]) for i, digit in enumerate(digits))


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_stands_for_its_digits_and_comes_back(levels, bound):
    made = FsqQuantizer(levels, len(levels), bound)
    assert made.sizes == (math.prod(levels),)
    every = [list(reversed(digits)) for digits in itertools.product(*(range(level) for level in reversed(levels)))]
    assert [number_of(digits, levels) for digits in every] == list(range(made.sizes[0]))
    vectors = made.decode(torch.arange(made.sizes[0])[None, :, None])[0].T
    expected = [[value_of(digit, level, bound) for digit, level in zip(digits, levels)] for digits in every]
    torch.testing.assert_close(vectors, torch.tensor(expected))
    # latents in the middle of what is rounded to a code
    half = [(level - 1) * 1.001 / 2 for level in levels]
    middle = torch.tensor(
        [
            [
                math.atanh(min(max(2 * digit / (level - 1) - 1, -0.999), 0.999)) if bound == "symmetric" else
                math.atanh(min(max((digit - level // 2 + (level % 2 == 0) / 2) / h, -0.999), 0.999))
                - math.atanh((level % 2 == 0) / 2 / h)
                for digit, level, h in zip(digits, levels, half)
            ] for digits in every
        ]
    )
    assert torch.equal(made.encode(middle.T[None])[0, :, 0], torch.arange(made.sizes[0]))


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("levels", LEVELS)
def test_random_latents_against_the_formulas(levels, bound):
    made = FsqQuantizer(levels, len(levels), bound)
    latents = 3 * torch.randn(4, len(levels), 9, generator=torch.Generator().manual_seed(0))
    found = made(latents)
    for b, k in itertools.product(range(4), range(9)):
        digits = digits_of(latents[b, :, k].double().tolist(), levels, bound)
        assert found.codes[b, k].tolist() == [number_of(digits, levels)]
        expected = [value_of(digit, level, bound) for digit, level in zip(digits, levels)]
        torch.testing.assert_close(found.quantized[b, :, k], torch.tensor(expected))
    assert torch.equal(made.encode(latents), found.codes) and found.codes.dtype == torch.long
    torch.testing.assert_close(made.decode(found.codes), found.quantized, rtol=0, atol=1e-6)
    assert found.commitment == 0 and found.loss == 0


@pytest.mark.parametrize(("bound", "lowest", "highest"), [("standard", -1.0, 0.75), ("symmetric", -1.0, 1.0)])
def test_even_levels_reach_1_in_the_symmetric_bound_alone(bound, lowest, highest):
    made = FsqQuantizer([8], 1, bound)
    values = made(torch.tensor([[[-100.0, 100.0]]])).quantized
    assert values.flatten().tolist() == [lowest, highest]


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_gradient_is_that_of_the_bound(bound):
    """Straight through the rounding: d/dz of tanh alone, scaled by what a level is worth."""
    made = FsqQuantizer([5, 8], 2, bound)
    latents = torch.tensor([[[0.3, -1.2], [0.1, 2.0]]], requires_grad=True)
    made(latents).quantized.sum().backward()
    for i, level in enumerate((5, 8)):
        half = (level - 1) * 1.001 / 2
        shift, worth = (math.atanh(0.5 / half) if level == 8 else 0.0, half / (level // 2))
        if bound == "symmetric":
            shift, worth = 0.0, 1.0
        expected = [(1 - math.tanh(z + shift) ** 2) * worth for z in latents[0, i].tolist()]
        torch.testing.assert_close(latents.grad[0, i], torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_projections_lead_to_the_levels_and_back_and_are_trained():
    torch.manual_seed(0)
    made = FsqQuantizer([8, 5, 5], 16)
    latents = torch.randn(2, 16, 6, requires_grad=True)
    found = made(latents)
    assert found.quantized.shape == latents.shape and found.codes.shape == (2, 6, 1)
    torch.testing.assert_close(made.decode(found.codes), found.quantized)
    found.quantized.square().sum().backward()
    assert latents.grad.any() and all(p.grad is not None and p.grad.any() for p in made.parameters())


def test_half_precision_contexts_change_nothing():
    """Numbers above 256 have no exact bfloat16."""
    torch.manual_seed(0)
    made = FsqQuantizer([8, 5, 5, 5], 16)
    latents = torch.randn(2, 16, 50)
    expected = made(latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, codes = made(latents), made.encode(latents)
        vectors = made.decode(codes)
    assert torch.equal(found.codes, expected.codes) and torch.equal(codes, expected.codes)
    assert found.quantized.dtype == vectors.dtype == torch.float32
    assert torch.equal(found.quantized, expected.quantized)
    assert expected.codes.max() > 256


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("bound", BOUNDS)
def test_latents_that_are_no_numbers_have_codes_all_the_same(bad, bound):
    made = FsqQuantizer([8, 5], 2, bound)
    codes = made(torch.full((1, 2, 3), bad)).codes
    assert (codes >= 0).all() and (codes < 40).all()


def test_few_levels_are_warned_of(caplog):
    FsqQuantizer([8, 3], 2)
    assert not caplog.records
    FsqQuantizer([8, 2], 2)
    assert "a dimension of 2 levels hardly learns; at least 3 are needed" in caplog.text


def test_there_is_nothing_to_save_but_projections():
    assert not FsqQuantizer([8, 5], 2).state_dict()
    assert set(FsqQuantizer([8, 5], 3).state_dict()) == {
        "project_in.weight", "project_in.bias", "project_out.weight", "project_out.bias",
    }


@settings(deadline=None, max_examples=60)
@given(
    levels=st.lists(st.integers(2, 1000), min_size=1, max_size=6), bound=st.sampled_from(BOUNDS),
    batch=st.integers(0, 3), steps=st.integers(0, 5), scale=st.sampled_from([0.1, 3.0, 1e6]), seed=st.integers(0, 99),
)
def test_codes_are_in_range_and_their_own_for_any_levels(levels, bound, batch, steps, scale, seed):
    made = FsqQuantizer(levels, len(levels), bound)
    latents = scale * torch.randn(batch, len(levels), steps, generator=torch.Generator().manual_seed(seed))
    found = made(latents)
    assert found.codes.shape == (batch, steps, 1)
    assert (found.codes >= 0).all() and (found.codes < math.prod(levels)).all()
    torch.testing.assert_close(made.decode(found.codes), found.quantized, rtol=0, atol=1e-5)
    assert found.quantized.isfinite().all()


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("levels", M3T)
def test_what_a_code_stands_for_has_that_code_when_it_is_within_the_bound(levels, bound):
    """The vectors of all codes, put through the bound's inverse, have their own codes again: exhaustively, in float32
    and in half precision, whose latents are coarse, but whose codes are found in float32."""
    made = FsqQuantizer(levels, 3, bound)
    every = torch.arange(made.sizes[0])[None, :, None]
    vectors, number = made.decode(every)[0].T.double(), torch.tensor(levels).double()
    if bound == "symmetric":
        latents = vectors.clamp(-0.999, 0.999).atanh()
    else:
        half, offset = (number - 1) * 1.001 / 2, 0.5 * (number % 2 == 0)
        latents = ((vectors * (number // 2) + offset) / half).clamp(-0.999, 0.999).atanh() - (offset / half).atanh()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = made(latents.T[None].to(dtype))
        assert torch.equal(found.codes, every) and found.quantized.dtype == torch.float32
        assert torch.equal(made.encode(latents.T[None].to(dtype)), every)
    assert len(set(every.flatten().tolist())) == math.prod(levels)
