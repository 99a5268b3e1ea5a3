"""The clock of what is played: where it is at a given moment. It knows no threads and reads no time itself."""
from __future__ import annotations

from dataclasses import dataclass

SLOWEST, FASTEST = 0.1, 2.0
_CLOSE = 0.02  # frames by which a moment may lie before a frame that it names, as links round it


@dataclass
class Clock:
    """Plays a length of time. Whatever takes `now` is given the present moment, in seconds of any clock.

    duration: seconds
    speed:    0.1 to 2
    loop:     whether it begins again at its end; else it stops there
    """

    duration: float = 0.0
    speed: float = 1.0
    loop: bool = True
    playing: bool = False
    _place: float = 0.0  # seconds into what is played, at `_since`
    _since: float = 0.0

    def open(self, duration: float) -> None:
        """Another length of time, at its beginning, at rest."""
        self.duration, self.playing, self._place = duration, False, 0.0

    def place(self, now: float) -> float:
        """Seconds into what is played, at most its duration."""
        if not self.playing:
            return self._place
        place = self._place + (now - self._since) * self.speed
        if place < self.duration:
            return place
        if self.loop and self.duration > 0:
            return place % self.duration
        self.seek(self.duration, now)
        self.playing = False
        return self._place

    def play(self, now: float) -> None:
        """Goes on; from the beginning where it has come to its end."""
        at_end = self.place(now) >= self.duration
        self.seek(0.0 if at_end else self.place(now), now)
        self.playing = self.duration > 0

    def pause(self, now: float) -> None:
        self._place = self.place(now)
        self.playing = False

    def seek(self, place: float, now: float) -> None:
        """Goes there, or to the nearer end; plays on if it was playing."""
        self._place, self._since = min(max(place, 0.0), self.duration), now

    def at_speed(self, speed: float, now: float) -> None:
        """Goes on at another speed, or the nearest one that there is."""
        self.seek(self.place(now), now)
        self.speed = min(max(speed, SLOWEST), FASTEST)

    def step(self, frames: int, fps: float, now: float) -> None:
        """Stops, so many frames of so many a second further on, or back; at the ends it stays."""
        self.pause(now)
        last = max(round(self.duration * fps) - 1, 0)
        frame = frame_at(self._place, fps, last + 1) + frames
        self.seek(min(max(frame, 0), last) / fps, now)


def frame_at(place: float, fps: float, frames: int) -> int:
    """The frame of a motion that is shown so many seconds into it; the last one from its end on."""
    return min(max(int(place * fps + _CLOSE), 0), frames - 1)
