"""Shares, tests, Bradley–Terry scores, agreement and correlations, against hand-computed cases and slow references."""
from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from soke.viewer.study import agreement, preferences
from soke.viewer.study.correlation import Correlation, correlation, ranks, weighted
from soke.viewer.study.intervals import ends, jackknife

# Four observers, twelve units, five categories (Krippendorff 2011, example C); 0: not judged.
OBSERVED = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
])
COUNTS = np.stack([(OBSERVED == category).sum(axis=0) for category in range(1, 6)], axis=1)


def test_shares_have_wilson_s_interval_and_an_exact_test():
    assert preferences.share_interval(6, 10) == pytest.approx((0.312674, 0.831820), abs=1e-5)  # by hand
    low, high = preferences.share_interval(10, 10)
    assert low == pytest.approx(0.722467, abs=1e-5) and high == 1  # 10 / (10 + z²)
    assert preferences.exact_p(9, 10) == pytest.approx(22 / 1024)
    assert preferences.exact_p(5, 10) == 1
    assert preferences.exact_p(3, 3, 0.25) == pytest.approx(1 / 64)
    assert preferences.exact_p(preferences.LEAST_DECIDED - 1, preferences.LEAST_DECIDED - 1) > 0.05  # too little data
    assert preferences.exact_p(preferences.LEAST_DECIDED, preferences.LEAST_DECIDED) < 0.05


def test_holm_adjusts_for_how_many_tests_there_are():
    assert preferences.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert preferences.holm([0.5, 0.9]) == [1, 1] and preferences.holm([]) == []


def test_scores_of_two_systems_are_the_log_odds_of_their_wins():
    assert preferences.maximum(np.array([[0, 30.0], [10, 0]]), np.zeros(2)) == pytest.approx([np.log(3) / 2, -np.log(3) / 2])


def test_scores_are_found_again_from_the_wins_that_they_make_and_are_the_most_likely():
    rng = np.random.default_rng(0)
    for count in (2, 3, 6):
        scores = rng.normal(0, 2, count)
        scores -= scores.mean()
        odds = 1 / (1 + np.exp(scores[None, :] - scores[:, None]))
        wins = 100 * odds * (1 - np.eye(count))
        found = preferences.maximum(wins, np.zeros(count))
        assert found == pytest.approx(scores, abs=1e-5)

        def likelihood(values):
            return (wins * -np.log1p(np.exp(values[None, :] - values[:, None]))).sum()

        assert all(likelihood(found) > likelihood(found + rng.normal(0, 0.1, count)) for _ in range(20))


def test_systems_that_never_lost_have_no_score():
    alone = np.array([[0, 3.0, 2], [0, 0, 1], [0, 1, 0]])
    assert not preferences.connected(alone) and preferences.connected(alone + alone.T)
    scores = preferences.bradley_terry(np.stack([alone] * 10))
    assert scores.values is None and "no finite score" in scores.problem
    assert preferences.bradley_terry(np.zeros((0, 2, 2))).values is None
    few = preferences.bradley_terry(np.stack([alone + alone.T] * 5 + [np.zeros((3, 3))]))  # one has judged nothing
    assert few.values is not None and few.intervals is None and "5 participants, 6 are needed" in few.problem
    same = preferences.bradley_terry(np.stack([alone + alone.T] * 9))
    assert same.values is not None and same.intervals is None and "prefer the same" in same.problem
    rare = np.zeros((30, 2, 2))  # one win in all: without him who gave it there is no score
    rare[:, 0, 1], rare[0, 1, 0] = 1, 1
    assert preferences.bradley_terry(rare).intervals is None


def test_the_jackknife_of_a_mean_is_student_s_interval():
    values = np.random.default_rng(0).normal(size=(9, 2))
    without = (values.sum(axis=0) - values) / 8
    low, high = stats.t.interval(0.95, 8, values.mean(axis=0), stats.sem(values))
    assert jackknife(values.mean(axis=0), without) == pytest.approx(np.stack([low, high], axis=-1))
    assert ends(jackknife(np.array(0.1), np.full(7, 0.1))) is None and ends(np.array([0.0, 1.0])) == (0, 1)


@pytest.mark.slow  # one such interval is drawn in test_analyse
@pytest.mark.parametrize("people", [6, 25])
def test_intervals_of_scores_hold_the_truth_as_often_as_they_say(people):
    # People differ in how they judge; what all of them together prefer is found of very many.
    rng, held = np.random.default_rng(0), 0

    def drawn(count: int) -> np.ndarray:
        first = rng.binomial(8, 1 / (1 + np.exp(-(0.8 + rng.normal(0, 0.5, count)))))
        wins = np.zeros((count, 2, 2))
        wins[:, 0, 1], wins[:, 1, 0] = first, 8 - first
        return wins

    truth = preferences.maximum(drawn(200_000).sum(axis=0), np.zeros(2))[0]
    for _ in range(300):
        low, high = preferences.bradley_terry(drawn(people)).intervals[0]
        held += low < truth < high
    assert 0.92 < held / 300 < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("sentences", [6, 20])
def test_intervals_of_correlations_hold_the_truth_as_often_as_they_say(sentences):
    # Two signings of a sentence are alike in both.
    rng, held, truth = np.random.default_rng(0), np.zeros(2), np.array([0.6, 6 / np.pi * np.arcsin(0.3)])
    for _ in range(300):
        shared, own = (rng.multivariate_normal([0, 0], [[0.5, 0.3], [0.3, 0.5]], size) for size in (sentences, (sentences, 2)))
        points = (shared[:, None] + own).reshape(-1, 2)
        found = correlation(points[:, 0], points[:, 1], np.repeat(np.arange(sentences), 2))
        held += [low < value < high for value, (_, low, high) in zip(truth, (found.pearson, found.spearman))]
    assert (held / 300 > 0.92).all() and (held / 300 < 0.99).all()


def test_alpha_and_ac_of_cases_that_were_computed_by_hand():
    two = np.array([[2, 0], [1, 1], [0, 2]])
    assert agreement.krippendorff_alpha(two, ordered=False) == pytest.approx(1 - (1 / 3) / 0.6)
    assert agreement.gwet_ac2(two, agreement.identity_weights(2)) == pytest.approx((2 / 3 - 0.5) / 0.5)
    three = np.array([[2, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 2]])
    assert agreement.krippendorff_alpha(three, ordered=True) == pytest.approx(1 - 25 / (600 / 7))
    graded = np.array([[2, 0, 0], [1, 1, 0]])
    chance = (17 / 3) / 6 * 2 * 0.75 * 0.25
    assert agreement.gwet_ac2(graded, agreement.ordinal_weights(3)) == pytest.approx((5 / 6 - chance) / (1 - chance))
    assert agreement.ordinal_weights(3) == pytest.approx(np.array([[1, 2 / 3, 0], [2 / 3, 1, 2 / 3], [0, 2 / 3, 1]]))


def test_alpha_and_ac_of_the_published_example():
    assert agreement.krippendorff_alpha(COUNTS, ordered=False) == pytest.approx(0.743, abs=5e-4)  # Krippendorff 2011
    assert agreement.krippendorff_alpha(COUNTS, ordered=True) == pytest.approx(0.815, abs=5e-4)
    assert agreement.gwet_ac2(COUNTS, agreement.identity_weights(5)) == pytest.approx(0.7754, abs=5e-5)  # Gwet 2014


def test_alpha_is_that_of_the_krippendorff_package():
    krippendorff = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(0)
    for _ in range(10):
        counts = rng.multinomial(4, rng.dirichlet(np.ones(5)), size=20) * (rng.random((20, 1)) < 0.8)
        for ordered, level in ((False, "nominal"), (True, "ordinal")):
            expected = krippendorff.alpha(
                value_counts=counts, value_domain=list(range(5)), level_of_measurement=level
            )
            assert agreement.krippendorff_alpha(counts, ordered) == pytest.approx(expected)


def test_perfect_and_absent_agreement():
    same = np.array([[3, 0], [0, 3]] * 5)
    weights = agreement.identity_weights(2)
    assert agreement.krippendorff_alpha(same, False) == 1 and agreement.gwet_ac2(same, weights) == pytest.approx(1)
    drawn = np.random.default_rng(0).multinomial(5, np.full(5, 0.2), 2000)
    assert abs(agreement.krippendorff_alpha(drawn, True)) < 0.03
    assert abs(agreement.gwet_ac2(drawn, agreement.ordinal_weights(5))) < 0.05
    assert np.isnan(agreement.krippendorff_alpha(np.array([[3, 0], [2, 0]]), False))  # one category alone
    assert np.isnan(agreement.gwet_ac2(np.array([[1, 0], [0, 1]]), weights))  # no unit judged twice


def test_ranks_and_correlations_of_resamples_are_those_of_their_copies():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 15).astype(float), rng.normal(size=15)
    weights = rng.multinomial(15, np.full(15, 1 / 15), 20).astype(float)
    pearson = weighted(np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape), weights)
    spearman = weighted(ranks(x, weights), ranks(y, weights), weights)
    for row, counts in enumerate(weights.astype(int)):
        copies = np.repeat(x, counts), np.repeat(y, counts)
        assert pearson[row] == pytest.approx(stats.pearsonr(*copies)[0])
        assert spearman[row] == pytest.approx(stats.spearmanr(*copies)[0])


def test_correlations_with_their_intervals():
    rng = np.random.default_rng(1)
    clips = np.repeat(np.arange(40), 2)
    scores = rng.normal(size=80)
    judged = 0.8 * scores + 0.6 * rng.normal(size=80)  # 0.8 correlated
    found = correlation(scores, judged, clips)
    assert isinstance(found, Correlation) and (found.points, found.clips) == (80, 40)
    for value, low, high in (found.pearson, found.spearman):
        assert low < 0.8 < high and low < value < high
    assert found.pearson[0] == pytest.approx(stats.pearsonr(scores, judged)[0])
    assert found.spearman[0] == pytest.approx(stats.spearmanr(scores, judged)[0])
    mirrored = correlation(-scores, judged, clips)
    assert mirrored.pearson[0] == pytest.approx(-found.pearson[0])


def test_two_signings_of_a_sentence_are_one_unit():
    rng = np.random.default_rng(2)
    of_sentence = rng.normal(size=(2, 20))
    scores, judged = of_sentence[0], 0.5 * of_sentence[0] + of_sentence[1]
    once = correlation(scores, judged, np.arange(20)).pearson
    copied = correlation(np.repeat(scores, 3), np.repeat(judged, 3), np.repeat(np.arange(20), 3)).pearson
    assert copied == pytest.approx(once)  # copies make no interval narrower


def test_too_little_and_constant_data_have_no_correlation():
    values, clips = np.arange(9.0), np.arange(9)
    assert "too little data: 9 signed clips of 9 sentences" in correlation(values, values, clips)
    assert "too little data" in correlation(np.arange(20.0), np.arange(20.0), np.repeat(np.arange(5), 4))
    assert "too little" in correlation(np.where(np.arange(20) < 12, np.nan, 1.0), np.arange(20.0), np.arange(20))
    perfect = correlation(values.repeat(2), values.repeat(2), clips.repeat(2))
    assert perfect.pearson == (pytest.approx(1), None, None)  # nothing tells how far from it others would be
    assert "undefined" in correlation(np.ones(20), np.arange(20.0), np.arange(20))
