"""Where a retrieved sign has ended up."""
from __future__ import annotations

import torch

from soke.viewer.explanation import ended_up


def codes(*rows: str) -> torch.Tensor:
    """[K, S] of rows of letters, a stream each."""
    return torch.tensor([[ord(letter) for letter in row] for row in rows]).T


def test_a_sign_that_was_copied_is_found_whole():
    place = ended_up(codes("bcd", "BCD"), codes("aabcdaa", "AABCDAA"))
    assert (place.start, place.end, place.agreeing) == (2, 5, 3.0) and place.found


def test_a_step_that_was_put_in_or_left_out_or_changed_does_not_hide_it():
    sign = codes("abcdef", "ABCDEF")
    for made, agreeing in (("zzabcxdefz", 6), ("zzabdefzz", 5), ("zzabcxefzz", 5)):
        place = ended_up(sign, codes(made, made.upper()))
        assert place.start == 2 and made[place.start : place.end].strip("z") == made.strip("z")
        assert place.agreeing == agreeing and place.found


def test_one_hand_of_two_is_enough_where_it_lasts_and_one_stream_of_four_is_not():
    place = ended_up(codes("abc", "ABC"), codes("zabcz", "00000"))
    assert (place.start, place.end, place.agreeing) == (1, 4, 1.5) and place.found
    assert not ended_up(codes("abc", "ABC", "123", "456"), codes("zabcz", "00000", "00000", "00000")).found


def test_a_single_step_is_too_little_of_a_sign_of_several():
    assert not ended_up(codes("abcd", "ABCD"), codes("xxbyy", "XXBYY")).found
    assert ended_up(codes("b", "B"), codes("xxbyy", "XXBYY")).found


def test_what_is_nowhere_is_not_found():
    assert not ended_up(codes("abc"), codes("xyzxyz")).found
    assert ended_up(codes("abc"), codes("xyz")).agreeing == 0
    assert not ended_up(codes("abc"), torch.zeros(0, 1, dtype=torch.long)).found


def test_steps_in_another_order_are_not_the_sign():
    assert not ended_up(codes("abcdef"), codes("fedcba")).found


def test_of_two_copies_the_first():
    assert ended_up(codes("ab"), codes("xabxab")).start == 1
