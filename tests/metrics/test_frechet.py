"""Fréchet distances: laws of Gaussians, hand-computed values, moments of parts."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from soke.metrics.frechet import Moments, frechet_distance


def features(count: int, size: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, size)) @ random.normal(size=(size, size)) + random.normal(size=size)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(Moments.of(a), Moments.of(b))


def by_scipy(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as it is printed, with scipy's root of a matrix."""
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_laws(size: int, seed: int):
    a, b = features(40, size, seed), features(30, size, seed + 1)
    assert distance(a, a) == pytest.approx(0.0, abs=1e-9 * np.trace(np.cov(a, rowvar=False)))
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)
    assert distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-6)
    shift = np.arange(1.0, size + 1)
    assert distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-9)  # the closed form of equal covariances
    turned = linalg.qr(features(size, size, seed))[0]
    assert distance(a @ turned, b @ turned) == pytest.approx(distance(a, b), rel=1e-9)
    assert distance(3 * a, 3 * b) == pytest.approx(9 * distance(a, b), rel=1e-9)


def test_by_hand():
    """Means 0 and 3, standard deviations 1 and 3 in one dimension: 3² + (3 - 1)² = 13; and two dimensions add."""
    a, b = np.array([[-1.0], [0.0], [1.0]]), np.array([[0.0], [3.0], [6.0]])
    assert distance(a, b) == pytest.approx(13.0)
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(3 / 4)  # unit variances
    assert distance(corners, corners * [2.0, 5.0] + [1.0, 0.0]) == pytest.approx(1.0 + 1.0 + 16.0)


def test_sets_of_too_few_have_singular_covariances_and_still_a_distance():
    few = features(5, 40)
    assert distance(few, few) == pytest.approx(0.0, abs=1e-4)
    assert distance(few, few + 1.0) == pytest.approx(40.0, rel=1e-6)


def test_moments_of_parts_are_those_of_the_whole():
    values = features(50, 7)
    parts = [Moments.of(part) for part in (values[:11], values[11:11], values[11:])]
    whole, summed = Moments.of(values), parts[0] + parts[1] + parts[2]
    assert (summed.count, summed.size) == (50, 7)
    np.testing.assert_allclose(summed.covariance, np.cov(values, rowvar=False), rtol=1e-10)
    np.testing.assert_allclose(summed.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(whole.outer, summed.outer, rtol=1e-12)
    assert Moments.of(values.astype(np.float32)).outer.dtype == np.float64


def test_what_has_no_distance_is_refused():
    one, three = Moments.of(features(1, 3)), Moments.of(features(9, 3))
    with pytest.raises(ValueError, match="at least two features, there are 1 and 9"):
        frechet_distance(one, three)
    with pytest.raises(ValueError, match="the features have 3 and 4 numbers"):
        frechet_distance(three, Moments.of(features(9, 4)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        Moments.of(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"must be \[N, D\]"):
        Moments.of(np.zeros(3))
