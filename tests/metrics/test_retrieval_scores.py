"""Ranks, recall, medians and pools against what is counted by hand and by slow loops."""
from __future__ import annotations

import numpy as np
import pytest

from soke.metrics import retrieval_scores
from soke.metrics.retrieval_scores import DIRECTIONS, MedianRank, Recall, RetrievalScores, pools_of, ranks_of


def naive_rank(similarities: list[float], right: list[bool]) -> int:
    """Candidates in order, the wrong ones first among equals."""
    order = sorted(range(len(right)), key=lambda i: (-similarities[i], right[i]))
    return 1 + next(place for place, i in enumerate(order) if right[i])


def test_ranks_against_a_sorted_list():
    random = np.random.default_rng(0)
    similarity = random.integers(0, 6, size=(40, 12)) / 5  # with many ties
    right = random.random((40, 12)) < 0.2
    right[np.arange(40), random.integers(0, 12, 40)] = True
    expected = [naive_rank(s, r) for s, r in zip(similarity.tolist(), right.tolist())]
    assert ranks_of(similarity, right).tolist() == expected and len(set(expected)) > 4


def test_what_tells_nothing_finds_nothing():
    """Candidates that are all alike, such as a still pose for every sentence, are found last."""
    assert ranks_of(np.ones((4, 4)), np.eye(4, dtype=bool)).tolist() == [4, 4, 4, 4]
    with pytest.raises(ValueError, match="NaN or infinite"):
        ranks_of(np.full((1, 2), np.nan), np.ones((1, 2), dtype=bool))
    with pytest.raises(ValueError, match="no right candidate"):
        ranks_of(np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))


def unit(values: list[list[float]]) -> np.ndarray:
    array = np.array(values)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_by_hand():
    """Three clips; the second motion looks like the first sentence, and the third sentence is the first one again."""
    texts = unit([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    motions = unit([[1.0, 0.2], [1.0, 0.1], [-1.0, 1.0]])
    scores = RetrievalScores(["a", "b", "c"], "0123", 32)
    scores.update(motions, texts, motions, ["x", "y", "x"], range(3))
    values = {(s.signature.name, s.signature.part): next(iter(s.values.values())) for s in scores.scores()}
    # text x: motions by cosine are b, a, c, of which a and c are right; text y: c, a, b
    assert values["R@1", "text→motion"] == 0.0 and values["R@5", "text→motion"] == 100.0
    assert values["median rank", "text→motion"] == 2.0  # of 2, 3, 2
    # motion a: x, x, y: right; b: x, x, y: third; c: y, then x and x: second
    assert values["R@1", "motion→text"] == pytest.approx(100 / 3)
    assert values["median rank", "motion→text"] == 2.0  # of 1, 3, 2
    cosines = [1 / np.hypot(1, 0.2), 0.1 / np.hypot(1, 0.1), -np.sqrt(0.5)]
    assert values["similarity", "to its sentence"] == pytest.approx(np.mean(cosines))
    assert values["similarity", "to the signer's"] == pytest.approx(1.0)
    assert {s.signature.candidates for s in scores.scores()} == {3, None}  # no pools of 32
    assert "of:3" in str(scores.scores()[2].signature)
    assert scores.per_clip()["a"]["R@1 motion→text percent"] == 100.0


def test_the_median_of_resampled_clips_is_numpy_s():
    ranks = [3, 1, 1, 8, 2, 100, 4]
    metric = MedianRank(DIRECTIONS[0], 100, "0123")
    for i, rank in enumerate(ranks):
        metric.update(f"c{i}", rank)
    counts = np.random.default_rng(1).multinomial(7, np.full(7, 1 / 7), 50)
    counts = np.concatenate([counts, counts[:, ::-1] + counts])  # even numbers of clips, too
    expected = [np.median(np.repeat(ranks, row)) for row in counts]
    assert metric._aggregate(np.array(ranks, dtype=float)[:, None], counts)[:, 0].tolist() == expected
    (score,) = metric.scores()
    assert score.values == {"rank": 3.0} and score.intervals["rank"][0] <= 3.0 <= score.intervals["rank"][1]


def test_pools_have_every_clip_once_as_a_query_and_depend_on_names_alone():
    names = [f"clip{i}" for i in range(75)]
    pools = pools_of(names, 32)
    assert [len(queries) for queries, _ in pools] == [32, 32, 11]
    assert sorted(np.concatenate([queries for queries, _ in pools])) == list(range(75))
    for queries, candidates in pools:
        assert len(set(candidates.tolist())) == 32 and set(queries.tolist()) <= set(candidates.tolist())
    shuffled = list(reversed(names))
    assert [{names[i] for i in of} for _, of in pools] == [{shuffled[i] for i in of} for _, of in pools_of(shuffled, 32)]
    assert pools_of(names, 75) == [] == pools_of([], 32)


def test_chance_finds_one_of_the_pool():
    random = np.random.default_rng(3)
    motions, texts = (unit(random.normal(size=(600, 16)).tolist()) for _ in range(2))
    scores = RetrievalScores([f"c{i}" for i in range(600)], "0123", 20)
    scores.update(motions, texts, motions, [f"text {i}" for i in range(600)], range(600))
    found = {(s.signature.name, s.signature.part): s for s in scores.scores()}
    for direction in DIRECTIONS:
        assert found["R@5", f"{direction} of 20"].values["percent"] == pytest.approx(25.0, abs=6)
        assert found["median rank", f"{direction} of 20"].values["rank"] == pytest.approx(10.5, abs=2)
        assert found["R@1", f"{direction} of 20"].signature.candidates == 20
        assert found["R@10", direction].values["percent"] < 5 and found["R@10", direction].signature.candidates == 600


def test_two_processes_score_what_one_does(monkeypatch):
    """Each its own clips, against those of both, in blocks of few rows."""
    random = np.random.default_rng(5)
    motions, texts = (unit(random.normal(size=(50, 4)).tolist()) for _ in range(2))
    names, sentences = [f"c{i}" for i in range(50)], [f"text {i % 30}" for i in range(50)]

    def scored(*owns: range) -> dict[str, dict[str, float]]:
        found = {}
        for own in owns:
            scores = RetrievalScores(names, "0123", 20)
            scores.update(motions, texts, motions, sentences, own)
            found |= scores.per_clip()
        return found

    alone = scored(range(50))
    assert scored(range(0, 50, 2), range(1, 50, 2)) == alone and len(alone) == 50
    monkeypatch.setattr(retrieval_scores, "_ROWS", 7)
    assert scored(range(50)) == alone
    similarity, same = texts @ motions.T, np.array([[a == b for b in sentences] for a in sentences])
    expected = [naive_rank(s, r) for s, r in zip(similarity.tolist(), same.tolist())]
    assert [alone[name]["median rank text→motion rank"] for name in names] == expected


def test_recall_and_ranks_are_of_all_processes_clips():
    """Two processes that each score half of the clips keep what one keeps."""
    one, parts = Recall(1, DIRECTIONS[0], 4, "0123"), [Recall(1, DIRECTIONS[0], 4, "0123") for _ in range(2)]
    for i, rank in enumerate([1, 2, 4, 1]):
        one.update(f"c{i}", rank)
        parts[i % 2].update(f"c{i}", rank)
    merged = {**parts[0]._merged(), **parts[1]._merged()}
    assert {key: value.tolist() for key, value in merged.items()} == {k: v.tolist() for k, v in one._merged().items()}
    assert one.compute()["text→motion"]["percent"] == 50
