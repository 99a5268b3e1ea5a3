"""The clock: what is shown at a moment, whatever has been pressed before."""
from __future__ import annotations

import pytest

from soke.viewer.playback import Clock, frame_at


def clock_of(duration: float = 2.0, **settings) -> Clock:
    clock = Clock(**settings)
    clock.open(duration)
    return clock


def test_it_stands_until_it_is_played_and_goes_on_from_where_it_was_stopped():
    clock = clock_of()
    assert clock.place(100.0) == 0
    clock.play(100.0)
    assert clock.place(100.5) == 0.5
    clock.pause(101.0)
    assert clock.place(150.0) == 1.0
    clock.play(200.0)
    assert clock.place(200.25) == 1.25


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0])
def test_speed_changes_only_what_is_still_to_come(speed):
    clock = clock_of(loop=False)
    clock.play(0.0)
    clock.at_speed(speed, 1.0)
    assert clock.place(1.2) == pytest.approx(1 + 0.2 * speed)


def test_speeds_that_there_are_not_become_the_nearest():
    clock = clock_of()
    for given, taken in ((0.0, 0.1), (9.0, 2.0)):
        clock.at_speed(given, 0.0)
        assert clock.speed == taken


def test_a_loop_begins_again_and_without_one_it_stops_at_the_end():
    looped, once = clock_of(), clock_of(loop=False)
    for clock in (looped, once):
        clock.play(0.0)
    assert looped.place(5.5) == pytest.approx(1.5) and looped.playing
    assert once.place(5.5) == 2.0 and not once.playing
    once.play(6.0)
    assert once.place(6.5) == 0.5  # from the beginning


def test_seeking_while_playing_plays_on():
    clock = clock_of()
    clock.play(0.0)
    clock.seek(1.5, 1.0)
    assert clock.place(1.25) == 1.75
    clock.seek(-3.0, 2.0)
    assert clock.place(2.0) == 0.0


def test_steps_go_to_frames_and_stop_at_the_ends():
    clock = clock_of(1.0)  # 25 frames at 25 frames/s
    clock.play(0.0)
    clock.step(1, 25, 0.11)  # within frame 2
    assert not clock.playing and frame_at(clock.place(9.0), 25, 25) == 3
    for _ in range(3):
        clock.step(-1, 25, 9.0)
    assert clock.place(9.0) == 0.0
    clock.step(-1, 25, 9.0)
    assert clock.place(9.0) == 0.0
    clock.step(400, 25, 9.0)
    assert frame_at(clock.place(9.0), 25, 25) == 24


@pytest.mark.parametrize("fps", [15, 24, 25, 29.97, 30, 60])
def test_every_frame_is_reached_by_steps_and_by_the_seconds_of_a_link(fps):
    frames = 100
    clock = clock_of(frames / fps)
    for frame in range(frames):
        assert frame_at(clock.place(0.0), fps, frames) == frame
        assert frame_at(float(f"{clock.place(0.0):.4f}"), fps, frames) == frame
        clock.step(1, fps, 0.0)


def test_what_is_shorter_holds_its_last_frame():
    assert [frame_at(second, 10, 5) for second in (0, 0.39, 0.5, 7)] == [0, 3, 4, 4]


def test_nothing_is_played_of_nothing():
    clock = clock_of(0.0)
    clock.play(0.0)
    assert not clock.playing and clock.place(5.0) == 0.0
