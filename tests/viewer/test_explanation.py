"""Where a retrieved sign has ended up."""
from __future__ import annotations

import pytest
import torch

from soke.viewer.explanation import ended_up


def codes(*rows: str) -> torch.Tensor:
    """[K, S] of rows of letters, a stream each."""
    return torch.tensor([[ord(letter) for letter in row] for row in rows]).T


def test_a_sign_that_was_copied_is_found_whole():
    place = ended_up(codes("bcd", "BCD"), codes("aabcdaa", "AABCDAA"))
    assert (place.start, place.end, place.agreement) == (2, 5, 1.0) and place.found


def test_a_step_that_was_put_in_or_left_out_or_changed_does_not_hide_it():
    sign = codes("abcdef", "ABCDEF")
    for made, agreement in (("zzabcxdefz", 1.0), ("zzabdefzz", 5 / 6), ("zzabcxefzz", 5 / 6)):
        place = ended_up(sign, codes(made, made.upper()))
        assert place.start == 2 and made[place.start : place.end].strip("z") == made.strip("z")
        assert place.agreement == pytest.approx(agreement)


def test_half_of_the_streams_is_not_enough_and_two_of_three_are():
    assert not ended_up(codes("abc", "ABC"), codes("zabcz", "zxyzz")).found
    place = ended_up(codes("abc", "ABC", "123"), codes("zabcz", "zABCz", "00000"))
    assert (place.start, place.end) == (1, 4) and place.found and place.agreement == pytest.approx(2 / 3)


def test_what_is_nowhere_is_not_found():
    assert not ended_up(codes("abc"), codes("xyzxyz")).found
    assert ended_up(codes("abc"), codes("xyz")).agreement == 0
    assert not ended_up(codes("abc"), torch.zeros(0, 1, dtype=torch.long)).found


def test_steps_in_another_order_are_not_the_sign():
    assert not ended_up(codes("abcdef"), codes("fedcba")).found


def test_of_two_copies_the_first():
    assert ended_up(codes("ab"), codes("xabxab")).start == 1
