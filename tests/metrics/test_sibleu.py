"""SiBLEU by hand: which codes of the reference there are, wherever they stand, and whether there are too few."""
from __future__ import annotations

from math import exp

import pytest
import torch

from soke.metrics.sibleu import SiBLEU
from tests.metrics.scorecard_reference import naive_sibleu

PARTS = {"body": [10], "lhand": [10], "rhand": [10]}


def codes(*streams: list[int]) -> torch.Tensor:
    return torch.tensor(streams).T


def scores(metric: SiBLEU) -> dict[str, float]:
    return {s.signature.part: s.values["percent"] for s in metric.scores()}


def test_by_hand() -> None:
    """body: 1 1 2 5 of 1 2 2 3 has one 1 and one 2. lhand: all of it, in another order. rhand: none."""
    metric = SiBLEU(PARTS, ["lhand", "rhand"], "abc", fps=25.0)
    metric.update("a", codes([1, 1, 2, 5], [4, 3, 2, 1], [9, 9, 9, 9]), codes([1, 2, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3]))
    assert scores(metric) == pytest.approx({"body": 50.0, "lhand": 100.0, "rhand": 0.0, "hand": 50.0})
    assert str(metric.signatures[0]) == "SiBLEU|body|units:percent|fps:25|tokenizer:abc|v:1"
    # Two of two are right, but four were wanted: exp(1 - 4 / 2). Longer ones lose by precision alone.
    metric.update("b", codes([1, 2], [1, 2], [1, 2]), codes([1, 2, 2, 3], [1, 2, 2, 3], [1, 2, 3, 4]))
    alone = metric.per_clip()["b"]
    assert alone == pytest.approx([100 * exp(-1)] * 4)
    # Together: of the body 4 of 6, with 8 wanted.
    assert scores(metric)["body"] == pytest.approx(100 * 4 / 6 * exp(1 - 8 / 6))


def test_equals_the_loops() -> None:
    random = torch.Generator().manual_seed(0)
    pairs = [tuple(torch.randint(0, 6, (n, 3), generator=random) for n in lengths) for lengths in ((5, 9), (12, 3), (7, 7))]
    metric = SiBLEU({part: [6] for part in PARTS}, ["lhand", "rhand"], "abc")
    for i, pair in enumerate(pairs):
        metric.update(f"c{i}", *pair)
    expected = [naive_sibleu([tuple(of[:, part].tolist() for of in pair) for pair in pairs]) for part in range(3)]
    assert list(scores(metric).values()) == pytest.approx([*expected, (expected[1] + expected[2]) / 2])


def test_nothing_made_scores_nothing() -> None:
    metric = SiBLEU({"all": [5]}, [], "abc")
    metric.update("a", torch.zeros(0, 1, dtype=torch.long), codes([1, 2]))
    assert scores(metric) == {"all": 0.0}


def test_the_same_code_of_two_streams_is_two_codes() -> None:
    """A residual part has the codes 1 1 and 2 2; made the other way round in its second stream, half is right."""
    metric = SiBLEU({"body": [10, 10]}, [], "abc")
    metric.update("a", codes([1, 1], [1, 1]), codes([1, 1], [2, 2]))
    assert scores(metric) == {"body": pytest.approx(50.0)}


def test_what_cannot_be_scored_is_named() -> None:
    metric = SiBLEU(PARTS, ["lhand", "rhand"], "abc")
    one, none = torch.zeros(1, 3, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="clip a cannot be scored: its reference is shorter than a step"):
        metric.update("a", one, none)
    for wrong in (one - 1, one + 10, one[:, :2]):
        with pytest.raises(ValueError, match="clip a cannot be scored: its codes are none of 3 streams"):
            metric.update("a", wrong, one)
