"""Fréchet distance between two sets of features, each taken for a Gaussian (Dowson and Landau 1982; Heusel et al. 2017)."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg


@dataclass(frozen=True)
class Moments:
    """What is summed over N features of size D, in float64; sums of several sets are those of all of them.

    count: N
    total: [D] their sum
    outer: [D, D] sum of the products of their coordinates
    """

    count: int
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """features: [N, D]; N may be 0. Raises ValueError for other shapes, and where one is NaN or infinite."""
        values = np.asarray(features, dtype=np.float64)
        if values.ndim != 2:
            raise ValueError(f"features must be [N, D], not {list(values.shape)}")
        if not np.isfinite(values).all():
            raise ValueError("a feature is NaN or infinite")
        return cls(len(values), values.sum(0), values.T @ values)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def size(self) -> int:
        """D."""
        return len(self.total)

    @property
    def mean(self) -> np.ndarray:
        """[D]"""
        return self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        """[D, D], divided by N - 1."""
        centred = self.outer - np.outer(self.total, self.mean)
        return (centred + centred.T) / (2 * (self.count - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared: |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), of means m and covariances C, in the squared unit of the
    features.

    The trace of the root is the sum of the singular values of C_a^½ C_b^½, whose squares are the eigenvalues of C_a C_b.
    No constant is added to the covariances, as nothing is inverted: their eigenvalues below zero, which rounding alone
    makes, count as zero, and so does a negative distance.

    Raises ValueError where a set has fewer than two features, or the sizes differ.
    """
    if a.size != b.size:
        raise ValueError(f"the features have {a.size} and {b.size} numbers")
    if min(a.count, b.count) < 2:
        raise ValueError(f"a covariance needs at least two features, there are {a.count} and {b.count}")
    roots = [_root(moments.covariance) for moments in (a, b)]
    apart = a.mean - b.mean
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * linalg.svdvals(roots[0] @ roots[1]).sum()
    return max(float(apart @ apart + spread), 0.0)


def _root(covariance: np.ndarray) -> np.ndarray:
    """[D, D] symmetric, none of its eigenvalues below zero."""
    values, vectors = linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
