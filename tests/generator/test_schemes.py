"""Decoding schemes: what each makes of the same codes; test_scheme_laws.py holds for all."""
from __future__ import annotations

import pytest
import torch

from soke.generator.schemes import ABSENT, IGNORE, SCHEMES

CODEBOOKS = [7, 11, 5]


def slow_steps(name: str, codes: list[list[int]]) -> tuple[list, list]:
    """Inputs and targets [R][S][P] of one sample, step by step."""
    nothing, parts = [ABSENT] * 3, range(3)
    if name == "multi_head":
        return [[nothing, *codes]], [[*codes, CODEBOOKS]]
    if name == "sequential":
        inputs, targets = [nothing], []
        for row in codes:
            for part in parts:
                inputs.append([row[p] if p == part else ABSENT for p in parts])
                targets.append([row[p] if p == part else IGNORE for p in parts])
        return [inputs], [[*targets, [CODEBOOKS[0], IGNORE, IGNORE]]]
    inputs = [[nothing, *([row[p] if p == own else ABSENT for p in parts] for row in codes)] for own in parts]
    targets = [
        [[row[p] if p == own else IGNORE for p in parts] for row in [*codes, CODEBOOKS]] for own in parts
    ]
    return inputs, targets


def random_codes(steps: int, generator: torch.Generator) -> torch.Tensor:
    return torch.stack([torch.randint(0, n, (steps,), generator=generator) for n in CODEBOOKS], dim=1)


def padded(lengths: list[int], seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    samples = [random_codes(length, rng) for length in lengths]
    return samples, torch.nn.utils.rnn.pad_sequence(samples, batch_first=True, padding_value=-1)


@pytest.mark.parametrize("name", SCHEMES)
def test_steps_equal_the_obvious_loop(name):
    lengths = [4, 2, 0]
    samples, codes = padded(lengths, 2)
    scheme = SCHEMES[name](CODEBOOKS)
    steps = scheme.build(codes, torch.tensor(lengths))
    for row, sample in enumerate(samples):
        inputs, targets = slow_steps(name, sample.tolist())
        count = len(inputs[0])
        assert steps.inputs[row, :, :count].tolist() == inputs
        assert steps.targets[row, :, :count].tolist() == targets
        assert (steps.inputs[row, :, count:] == ABSENT).all()
        assert (steps.targets[row, :, count:] == IGNORE).all()


def test_any_head_ends_a_sample():
    said = torch.tensor([[[1, 2, 3], [0, 11, 4], [2, 2, 2]]])
    assert SCHEMES["multi_head"](CODEBOOKS).revert(said).tolist() == [[1, 2, 3]]


def test_a_stream_that_ends_early_holds_its_last_code():
    said = torch.full((3, 4, 3), ABSENT)
    said[0, :, 0] = torch.tensor([1, 2, 3, 7])
    said[1, :2, 1] = torch.tensor([4, 11])
    said[2, :, 2] = torch.tensor([0, 1, 2, 3])
    assert SCHEMES["parallel"](CODEBOOKS).revert(said).tolist() == [[1, 4, 0], [2, 4, 1], [3, 4, 2], [3, 4, 3]]


def test_a_time_step_that_was_not_finished_is_lost():
    said = torch.full((1, 5, 3), ABSENT)
    for step, code in enumerate([1, 2, 3, 4, 5]):
        said[0, step, step % 3] = code
    assert SCHEMES["sequential"](CODEBOOKS).revert(said).tolist() == [[1, 2, 3]]
