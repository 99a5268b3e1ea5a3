"""Top-k accuracy of recognised signs, against a slow reference."""
from __future__ import annotations

import numpy as np
import pytest

from soke.metrics.recognition import RecognitionScores, TopAccuracy, best_by_group, ranks
from soke.metrics.signature import Signature


def slow_rank(scores: list[float], target: int) -> int:
    """Where the target stands when signs are put in order, the lower number first where two are equal."""
    return sorted(range(len(scores)), key=lambda sign: (-scores[sign], sign)).index(target) + 1


@pytest.mark.parametrize("values", [3, 1000])  # few different scores: many ties
def test_ranks(values):
    draw = np.random.default_rng(0)
    scores = draw.integers(0, values, (200, 7)).astype(np.float32)
    targets = draw.integers(0, 7, 200)
    assert ranks(scores, targets).tolist() == [slow_rank(s.tolist(), t) for s, t in zip(scores, targets)]
    assert (ranks(scores, scores.argmax(1)) == 1).all()  # the sign that is named first is the one of rank 1


def test_scores_that_tell_nothing_are_right_by_chance():
    scores = ranks(np.zeros((100, 10)), np.arange(100) % 10)
    assert (scores == 1).mean() == 0.1 and (scores <= 5).mean() == 0.5


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        ranks(np.array([[0.0, np.nan]]), np.array([0]))


def test_every_part_is_a_mean_over_its_own_clips():
    scores = RecognitionScores(50, {"confusing", "normal"}, groups=True)
    for name, rank, subset, same in (
        ("a", 1, "confusing", True), ("b", 2, "confusing", True), ("c", 6, "confusing", False),
        ("d", 40, "confusing", None), ("e", 1, "normal", None),
    ):
        scores.update(name, rank, subset, same)
    found = {(s.signature.name, s.signature.part): (s.values["percent"], s.clips) for s in scores.scores()}
    assert found == {
        ("top-1", "all"): (40.0, 5), ("top-5", "all"): (60.0, 5), ("top-1", "confusing"): (25.0, 4),
        ("top-5", "confusing"): (50.0, 4), ("top-1", "normal"): (100.0, 1), ("top-5", "normal"): (100.0, 1),
        ("group", "confusing"): (pytest.approx(200 / 3), 3),
    }
    assert scores.per_clip()["b"] == {
        "top-1 all percent": 0.0, "top-5 all percent": 100.0, "top-1 confusing percent": 0.0,
        "top-5 confusing percent": 100.0, "group confusing percent": 100.0,
    }
    assert all(score.higher_is_better for score in scores.scores())


def test_intervals_are_of_the_clips():
    """Of 400 clips of which half are right, 95 % of the resamples lie within 1.96 * 2.5 points, nearly."""
    metric = TopAccuracy(1, "all", 9)
    for i in range(400):
        metric.update(f"clip {i}", 1 + i % 2)
    (score,) = metric.scores()
    assert score.values == {"percent": 50.0} and score.clips == 400
    low, high = score.intervals["percent"]
    assert low == pytest.approx(45.1, abs=0.7) and high == pytest.approx(54.9, abs=0.7)
    assert metric.compute() == {"all": {"percent": 50.0}}


def test_the_number_of_signs_stands_in_the_signature():
    """A choice of ten is no choice of a thousand."""
    signature = TopAccuracy(5, "confusing", 1067).signatures[0]
    assert str(signature) == "top-5|confusing|units:percent|classes:1067|v:1"
    assert Signature.from_dict(signature.to_dict()) == signature
    older = {key: value for key, value in signature.to_dict().items() if key != "classes"}
    assert Signature.from_dict(older).classes is None


def test_what_the_hands_alone_can_reach():
    assert best_by_group([2, 2, 4, 1]) == pytest.approx(100 * (0.5 + 0.5 + 0.25 + 1) / 4)
