from __future__ import annotations

import math

import pytest
import torch

from soke.metrics.codebook import CodebookUse


def test_uniform_use_of_half_the_codes() -> None:
    metric = CodebookUse(8, part="body")
    metric.update(torch.tensor([[0, 1], [2, 3]]))
    score = metric.compute()
    assert score["percent"] == pytest.approx(50.0)
    assert score["codes"] == pytest.approx(4.0)
    assert str(metric.signature) == "codebook-use|body|units:percent,codes|v:1"


def test_updates_add_up_and_padding_is_left_out() -> None:
    metric = CodebookUse(4)
    metric.update(torch.tensor([0, 0, 3]), torch.tensor([True, True, False]))
    metric.update(torch.tensor([1, -1]), torch.tensor([True, False]))
    score = metric.compute()
    assert score["percent"] == pytest.approx(50.0)
    assert score["codes"] == pytest.approx(math.exp(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))))


def test_one_code_only() -> None:
    metric = CodebookUse(96)
    metric.update(torch.full((3, 5), 7))
    assert metric.compute()["codes"] == pytest.approx(1.0)


@pytest.mark.parametrize("codes", [[4], [-1]])
def test_codes_outside_the_codebook(codes: list[int]) -> None:
    with pytest.raises(ValueError, match="codebook of 4"):
        CodebookUse(4).update(torch.tensor(codes))


def test_mask_of_another_shape_and_nothing_counted() -> None:
    metric = CodebookUse(4)
    with pytest.raises(ValueError, match="mask"):
        metric.update(torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, dtype=torch.bool))
    metric.update(torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="before any code"):
        metric.compute()
