"""Which files of a clip's folder are its frames, and in what order."""
from __future__ import annotations

import random

import pytest

from soke.data.storage.loading import sorted_frames

PATTERNS = ["{:06}.pkl", "{}.pkl", "images{:04}.pkl", "-fZc293MpJk_0-1-rgb_front_{}_3D.pkl", "3D_{}.pkl", "2_{}_7.pkl"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("strays", [[], ["thumbs.pkl", "000003 (1).pkl", "000003_old.pkl"], ["3_3.pkl", "x3D.pkl"]])
def test_frames_are_in_order_of_their_numbers_and_strays_are_named(pattern, strays):
    draw = random.Random(0)
    numbers = sorted(draw.sample(range(5, 140), 60))
    names = [pattern.format(number) for number in numbers] + strays
    draw.shuffle(names)
    found = sorted_frames(names)
    assert found.names == [pattern.format(number) for number in numbers] and found.numbers == numbers
    assert sorted(found.strays) == sorted(strays)
    assert found.missing == len(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))


def test_padded_and_other_numbers_are_in_order():
    assert sorted_frames(["10.pkl", "003.pkl", "2.pkl", "0001.pkl"]).names == ["0001.pkl", "2.pkl", "003.pkl", "10.pkl"]


@pytest.mark.parametrize("strays", [[], ["thumbs.pkl"]])
def test_two_files_of_one_number_are_named(strays):
    names = [*(f"{i:03}.pkl" for i in range(20)), "3.pkl", *strays]
    with pytest.raises(ValueError, match=r"^holds 003\.pkl and 3\.pkl, two files of frame 3; remove one"):
        sorted_frames(names)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ([f"{c}.pkl" for c in "abcde"], r"that no number counts: a\.pkl, b\.pkl, … \(5 files\)"),
        ([f"{i}_{i}.pkl" for i in range(5)], "that no number counts"),
        ([f"{p}{i}.pkl" for p in "ab" for i in range(9)], r"more than one pattern: a0\.pkl, a1.*b0\.pkl, b1"),
        ([*(f"{i}.pkl" for i in range(9)), *(f"{i} (1).pkl" for i in range(6))], r"more than one pattern: .*0 \(1\)"),
    ],
)
def test_folders_that_may_hold_another_clip(names, fault):
    with pytest.raises(ValueError, match=fault):
        sorted_frames(names)


def test_few_files():
    assert sorted_frames([]).missing == 0 and sorted_frames(["0001.pkl"]).numbers == [1]
