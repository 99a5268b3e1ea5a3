from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from soke.metrics.codebook import CodebookUse, CodeCounts, LevelUse


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


def test_spread_of_the_counts_against_numpy() -> None:
    """Codes that never occur count as 0; the deviation is that of all codes, not an estimate from a sample."""
    codes = torch.tensor([0, 0, 0, 0, 2, 2])
    metric = CodeCounts(4, "face")
    metric.update(codes)
    expected = np.std([4, 0, 2, 0])
    assert metric.compute()["SD"] == pytest.approx(expected)
    assert metric.compute()["SD/mean"] == pytest.approx(expected / 1.5)
    assert str(metric.signature) == "token-counts|face|units:SD,SD/mean|v:1"
    ten_times = CodeCounts(4)
    ten_times.update(codes.repeat(10))
    assert ten_times.compute()["SD"] == pytest.approx(10 * expected)
    assert ten_times.compute()["SD/mean"] == pytest.approx(expected / 1.5)


def test_counts_of_another_metric_are_a_copy() -> None:
    use = CodebookUse(4, "body", layout="l")
    use.update(torch.tensor([1, 1]))
    spread = CodeCounts.of(use)
    use.update(torch.tensor([3]))
    assert spread.counts.tolist() == [0, 2, 0, 0] and spread.signature.layout == "l"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchmetrics warns of a compute before the first update
        assert float(spread.compute()["SD/mean"]) == pytest.approx(math.sqrt(3))
        assert float(LevelUse.of_dimensions(use, (2, 2))[0].compute()["levels"]) == 1.0


def test_levels_of_each_dimension_are_those_of_the_codes_digits() -> None:
    """The first dimension changes fastest; level 2 of the second is dead, however the others combine."""
    levels = (3, 4, 2)
    digits = [(a, b, c) for a in range(3) for b in (0, 1, 3) for c in (0, 1) for _ in range(1 + a)]
    use = CodebookUse(24, "face")
    use.update(torch.tensor([a + 3 * b + 12 * c for a, b, c in digits]))
    found = LevelUse.of_dimensions(use, levels)
    for i, metric in enumerate(found):
        assert metric.counts.tolist() == [sum(d[i] == level for d in digits) for level in range(levels[i])]
    assert [float(metric.compute()["percent"]) for metric in found] == pytest.approx([100, 75, 100])
    assert [float(metric.compute()["levels"]) for metric in found[1:]] == pytest.approx([3, 2])
    assert str(found[1].signature) == "level-use|face dimension 2|units:percent,levels|v:1"
    assert LevelUse.of_dimensions(use, ()) == []
    alone = CodebookUse(5)
    alone.update(torch.tensor([4]))
    assert LevelUse.of_dimensions(alone, (5,))[0].counts.tolist() == [0, 0, 0, 0, 1]
