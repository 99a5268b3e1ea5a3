"""Decoding schemes: build and revert are inverse, padding asks nothing."""
from __future__ import annotations

import pytest
import torch

from soke.generator.schemes import ABSENT, IGNORE, SCHEMES

CODEBOOKS = [7, 11, 5]


def slow_multi_head(codes: torch.Tensor) -> tuple[list, list]:
    """One sample, step by step."""
    inputs = [[ABSENT] * 3] + [row.tolist() for row in codes]
    targets = [row.tolist() for row in codes] + [CODEBOOKS]
    return inputs, targets


def random_codes(steps: int, generator: torch.Generator) -> torch.Tensor:
    return torch.stack([torch.randint(0, n, (steps,), generator=generator) for n in CODEBOOKS], dim=1)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("lengths", [[0], [1], [5, 1, 3], [0, 4]])
def test_revert_undoes_build(name, lengths):
    scheme = SCHEMES[name](CODEBOOKS)
    rng = torch.Generator().manual_seed(1)
    samples = [random_codes(length, rng) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True, padding_value=-1)
    steps = scheme.build(padded, torch.tensor(lengths))
    for sample, targets in zip(samples, steps.targets):
        said = targets[(targets != IGNORE).any(dim=1)]
        assert torch.equal(scheme.revert(said), sample)


def test_multi_head_equals_the_obvious_loop():
    rng = torch.Generator().manual_seed(2)
    lengths = [4, 2, 0]
    samples = [random_codes(length, rng) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True, padding_value=-1)
    steps = SCHEMES["multi_head"](CODEBOOKS).build(padded, torch.tensor(lengths))
    for row, (sample, length) in enumerate(zip(samples, lengths)):
        inputs, targets = slow_multi_head(sample)
        assert steps.inputs[row, : length + 1].tolist() == inputs
        assert steps.targets[row, : length + 1].tolist() == targets
        assert (steps.inputs[row, length + 1 :] == ABSENT).all()
        assert (steps.targets[row, length + 1 :] == IGNORE).all()


def test_what_stands_in_the_padding_does_not_matter():
    scheme = SCHEMES["multi_head"](CODEBOOKS)
    codes = random_codes(6, torch.Generator().manual_seed(3))[None]
    other = codes.clone()
    other[:, 4:] = 3
    first, second = (scheme.build(c, torch.tensor([4])) for c in (codes, other))
    assert torch.equal(first.inputs, second.inputs) and torch.equal(first.targets, second.targets)


def test_any_head_ends_a_sample():
    said = torch.tensor([[1, 2, 3], [0, 11, 4], [2, 2, 2]])
    assert SCHEMES["multi_head"](CODEBOOKS).revert(said).tolist() == [[1, 2, 3]]
