"""A dictionary: the signs of a lexicon, ready to be put together."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip, ClipError
from soke.data.corpora.lexicon import Lexicon
from soke.text.matching import TokenMatcher

_LEFT = 0.5  # of the farthest that a recording gets from its first posture: then the hands have left it [A]


@dataclass(frozen=True)
class Sign:
    """A recording of a sign.

    motion: whole, from the posture in which the signer waits and back to it, or a segment of a sentence
    core:   the frames without those ways
    """

    motion: Motion | JointMotion
    core: slice


class Dictionary:
    """The signs of one sign language: of each word the first recording that can be read.

    lexicon: recordings of isolated signs
    fps:     at which signs are put together
    layout:  what is kept of them
    locale:  of the words
    posed:   makes joint positions of a recording, for a layout of positions; None: for one of rotations
    """

    def __init__(
        self, lexicon: Lexicon, language: str, fps: float, layout: MotionLayout, locale: str,
        posed: Callable[[Motion], JointMotion] | None = None,
    ):
        self.lexicon, self.language, self.fps, self.layout, self.posed = lexicon, language, fps, layout, posed
        self._recordings: dict[str, list[Clip]] = {}
        for clip in lexicon.clips("train"):
            if clip.language == language:
                self._recordings.setdefault(clip.text, []).append(clip)
        self._signs: dict[str, Sign | None] = {}
        self._matcher = TokenMatcher({language: self._recordings}, {language: locale})

    def __len__(self) -> int:
        """Words."""
        return len(self._recordings)

    def in_order(self, text: str) -> list[str | None]:
        """As `TokenMatcher.in_order`."""
        return self._matcher.in_order(text, self.language)

    def entry(self, gloss: str) -> str | None:
        """As `TokenMatcher.entry`."""
        return self._matcher.entry(gloss, self.language)

    def sign(self, word: str) -> Sign | None:
        """The sign of one of the lexicon's words; None where no recording of it can be used."""
        if word not in self._signs:
            self._signs[word] = next(filter(None, map(self._read, self._recordings[word])), None)
        return self._signs[word]

    def _read(self, clip: Clip) -> Sign | None:
        try:
            recorded = self.lexicon.load(clip).resampled(self.fps)
            whole = self.lexicon.segment(clip) is not None
            motion = self.layout.covered(recorded if self.posed is None else self.posed(recorded))
        except (ClipError, ValueError):  # it cannot be read, or lacks what the layout needs
            return None
        return Sign(_of_nobody(motion), slice(0, len(motion)) if whole else core_of(recorded))


def core_of(motion: Motion | JointMotion) -> slice:
    """The frames in which an isolated sign is made: from the first that is half as far from the first posture as any
    is, up to the last that is as far from the last posture."""
    posture = (motion.positions if isinstance(motion, JointMotion) else motion.rotations).flatten(1)
    begun, going = (_left(posture - rest) for rest in (posture[:1], posture[-1:]))
    first, behind = int(begun.int().argmax()), len(going) - int(going.flip(0).int().argmax())
    return slice(first, behind) if first < behind else slice(0, len(motion))


def _left(way: Tensor) -> Tensor:
    """[T, D] from a posture -> [T] bool, whether it is left."""
    distance = way.norm(dim=1)
    return distance >= _LEFT * distance.max()


def _of_nobody(motion: Motion | JointMotion) -> Motion | JointMotion:
    """Without a signer's shape: signs of several are put together."""
    if isinstance(motion, JointMotion):
        return motion
    return replace(motion, betas=torch.zeros_like(motion.betas), head_shape=None)
