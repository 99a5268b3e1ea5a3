from __future__ import annotations

from fractions import Fraction

import pytest

from soke.data.lengths import downsampled_indices, fitted_indices


def reference(length: int, shortest: int, longest: int, multiple: int) -> list[int]:
    if length < shortest or length > longest:
        count = shortest if length < shortest else longest
        step = Fraction(length - 1, count - 1)
        return [int(i * step) for i in range(count)]
    rest = length % multiple
    return list(range(length))[rest // 2 : length - (rest - rest // 2)]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 39, 40, 41, 42, 43, 44, 113, 399, 400, 401, 777, 5000])
def test_agrees_with_reference(length):
    assert fitted_indices(length, 40, 400, 4).tolist() == reference(length, 40, 400, 4)


@pytest.mark.parametrize(("shortest", "longest", "multiple"), [(40, 400, 4), (10, 100, 1), (8, 8, 8), (1, 9, 1)])
def test_laws(shortest, longest, multiple):
    for length in range(1, longest + 60):
        picked = fitted_indices(length, shortest, longest, multiple)
        assert shortest <= len(picked) <= longest and len(picked) % multiple == 0
        assert (picked.diff() >= 0).all() and picked.min() >= 0 and picked.max() < length
        if not shortest <= length <= longest and len(picked) > 1:
            assert picked[0] == 0 and picked[-1] == length - 1  # resampled: the ends stay
        elif shortest <= length <= longest:
            assert length - len(picked) < multiple and (picked.diff() == 1).all()
            assert abs(int(picked[0]) - (length - 1 - int(picked[-1]))) <= 1  # cropped in the centre


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
