from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soke.data.lengths import downsampled_indices, fitted_indices
from soke.data.sampling import fitted_lengths


def reference(length: int, shortest: int, longest: int, multiple: int) -> list[int]:
    if length < shortest or length > longest:
        count = shortest if length < shortest else longest
        step = Fraction(length - 1, max(count - 1, 1))
        return [int(i * step) for i in range(count)]
    rest = length % multiple
    return list(range(length))[rest // 2 : length - (rest - rest // 2)]


@st.composite
def limits(draw: st.DrawFn) -> tuple[int, int, int]:
    """Shortest, longest, multiple."""
    multiple = draw(st.integers(1, 8))
    shortest = draw(st.integers(1, 12))
    return multiple * shortest, multiple * (shortest + draw(st.integers(0, 40))), multiple


@given(st.integers(1, 1000), limits())
def test_any_clip_fits_its_limits(length, drawn):
    shortest, longest, multiple = drawn
    picked = fitted_indices(length, shortest, longest, multiple)
    assert picked.tolist() == reference(length, shortest, longest, multiple)
    assert shortest <= len(picked) <= longest and len(picked) % multiple == 0
    assert (picked.diff() >= 0).all() and picked.min() >= 0 and picked.max() < length
    if shortest <= length <= longest:
        assert length - len(picked) < multiple and (picked.diff() == 1).all()
        assert abs(int(picked[0]) - (length - 1 - int(picked[-1]))) <= 1  # cropped in the centre
    elif len(picked) > 1:
        assert picked[0] == 0 and picked[-1] == length - 1  # resampled: the ends stay
    assert fitted_lengths(np.array([length]), *drawn).tolist() == [len(picked)]


RATES = st.one_of(st.integers(5, 240).map(float), st.sampled_from([23.976, 29.97, 59.94]), st.floats(5, 240))


@given(st.integers(1, 2000), RATES, RATES)
def test_bringing_down_keeps_the_duration(length, first, second):
    target, fps = sorted((first, second))
    picked = downsampled_indices(length, fps, target)
    assert picked[0] == 0 and picked[-1] < length and (picked.diff() >= 1).all()
    assert len(picked) == 1 or -1 <= len(picked) - length * target / fps < 1e-6
    if fps == target:
        assert picked.tolist() == list(range(length))


@pytest.mark.parametrize(("length", "limits"), [(0, (4, 8, 4)), (50, (42, 400, 4)), (50, (40, 30, 1)), (5, (0, 4, 4))])
def test_impossible_limits(length, limits):
    with pytest.raises(ValueError):
        fitted_indices(length, *limits)


@pytest.mark.parametrize(("length", "fps"), [(150, 25.0), (150, 29.97), (101, 60.0), (4, 120.0), (77, 24.0)])
def test_downsampling_takes_the_published_frames(length, fps):
    count = max(1, int(24 * length / fps))
    assert downsampled_indices(length, fps, 24.0).tolist() == [length * i // count for i in range(count)]


def test_downsampling_does_not_raise_the_rate():
    with pytest.raises(ValueError):
        downsampled_indices(10, 20.0, 24.0)
