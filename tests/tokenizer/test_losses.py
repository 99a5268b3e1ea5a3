from __future__ import annotations

import pytest
import torch

from soke.tokenizer.losses import masked_smooth_l1, masked_velocity

PREDICTION = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0)) * 2
TARGET = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(1)) * 2
LENGTHS = [6, 1, 3]
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]


def smooth_l1(difference: float) -> float:
    difference = abs(difference)
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


def test_smooth_l1_is_the_mean_over_valid_elements():
    values = [
        smooth_l1(float(PREDICTION[b, t, d] - TARGET[b, t, d]))
        for b, length in enumerate(LENGTHS)
        for t in range(length)
        for d in range(5)
    ]
    assert masked_smooth_l1(PREDICTION, TARGET, MASK).item() == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_velocity_is_the_same_of_differences_within_clips():
    values = [
        smooth_l1(float((PREDICTION[b, t + 1, d] - PREDICTION[b, t, d]) - (TARGET[b, t + 1, d] - TARGET[b, t, d])))
        for b, length in enumerate(LENGTHS)
        for t in range(length - 1)
        for d in range(5)
    ]
    assert masked_velocity(PREDICTION, TARGET, MASK).item() == pytest.approx(sum(values) / len(values), rel=1e-5)


@pytest.mark.parametrize("loss", [masked_smooth_l1, masked_velocity])
def test_padding_does_not_count(loss):
    changed = torch.where(MASK[..., None], PREDICTION, 1e6)
    assert loss(changed, TARGET, MASK) == loss(PREDICTION, TARGET, MASK)
    assert loss(PREDICTION, TARGET, torch.zeros_like(MASK)) == 0
