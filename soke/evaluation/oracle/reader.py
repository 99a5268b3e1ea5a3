"""The oracle as a `Reader`: signs of a motion, in order, by the forms that all signs of its language are known to have."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.body.skeletonise import skeleton_50
from soke.data.synthetic.known import KnownCorpus, ShownSign
from soke.data.synthetic.skeleton_writer import stand_in
from soke.evaluation.oracle.decoding import cheapest_signs
from soke.evaluation.oracle.features import face_features, hand_features
from soke.metrics.text_scores import WER, TextMetric

RATE = 25.0  # frames/s at which motions are compared with forms,
FINER = 2  # moments of a form in the time of a frame, so that fast changes of the hand's shape are met; and
PACE = 2 * FINER  # how many of them a frame may go on by: signs may be made twice as fast
# Cost of a frame between signs, and of a sign besides, in squares of what `hand_features` measures: below half of what
# the nearest signs are apart, six times what a signer's own frames are from the forms [A].
BETWEEN = BEGIN = 0.03


@dataclass(frozen=True)
class _Forms:
    """V forms.

    words:   V
    moments: [N, D] their frames, one form's behind the other's
    bounds:  [V + 1] where each begins, and N
    """

    words: tuple[str, ...]
    moments: Tensor
    bounds: np.ndarray

    @classmethod
    def of(cls, signs: Sequence[ShownSign], positions: bool) -> _Forms:
        bounds = np.cumsum([0, *(len(sign.motion) for sign in signs)])
        every = replace(
            signs[0].motion, rotations=torch.cat([sign.motion.rotations for sign in signs]),
            expression=torch.cat([sign.motion.expression for sign in signs]), eyelids=None,
        )
        features = hand_features(skeleton_50(stand_in(), every) if positions else every)
        return cls(tuple(sign.word for sign in signs), features, bounds)


class Oracle:
    """A `Reader` of one synthetic corpus, whose texts are the words of the signs that a motion shows, in order.

    It finds the cheapest way through a motion, each frame of which is one of a sign's form or lies between signs, as a
    right-handed signer and, mirrored, as a left-handed one, and takes the cheaper. Signs that differ in the face alone
    are told apart by head, jaw and expression; in joint positions, which have none of them, they are one.

    frames: name of the format of the corpus's frames, soke or smplfx
    faces:  whether the motions that are read have jaw and expression; signs that differ in them alone are one without
    """

    def __init__(self, known: KnownCorpus, frames: str = "soke", faces: bool = True):
        self.known, self.frames, self.faces = known, frames, faces
        self.language = known.planned.spoken.language
        self._same = dict(pair[::-1] for pair in known.planned.spoken.face_pairs)  # second -> first

    @cached_property
    def hash(self) -> str:
        """12 hex digits."""
        forms = self._of_rotations
        text = f"{self.known.parameters}{self.language}{self.frames}{self.faces}{RATE}{FINER}{BETWEEN}{BEGIN}{forms.words}"
        return hashlib.sha256(text.encode() + forms.moments.numpy().round(3).tobytes()).hexdigest()[:12]

    def signed(self, clip: str) -> list[str] | None:
        """What a clip's signer has signed, as `signs` would write it without an error; None where it is not known."""
        words = self.known.signed(clip)
        return None if words is None else list(words)

    def translate(self, motions: Sequence[Motion | JointMotion]) -> list[str]:
        return [" ".join(words) for words in self.signs(motions)]

    def signs(self, motions: Sequence[Motion | JointMotion]) -> list[list[str]]:
        """The words of the signs that each motion shows. Raises KeyError for joints that are none of the 50."""
        return [self._read(motion) for motion in motions]

    def compared(self, motion: Motion | JointMotion, clip: str) -> tuple[list[str], list[str]]:
        """The words of the signs that a motion shows, and of those that the clip's signer has made; without
        faces with one word in the place of two whose signs differ in the face alone. Raises KeyError for a clip that is not
        known."""
        (found,), wanted = self.signs([motion]), self.signed(clip)
        if wanted is None:
            raise KeyError(clip)
        if isinstance(motion, JointMotion) or not self.faces:
            found, wanted = ([self._same.get(word, word) for word in words] for words in (found, wanted))
        return found, wanted

    def _read(self, motion: Motion | JointMotion) -> list[str]:
        forms = self._of_positions if isinstance(motion, JointMotion) else self._of_rotations
        motion = motion.to("cpu").resampled(RATE)
        if not len(motion):
            return []
        found = []
        for seen in (motion, motion.mirrored()):
            costs = torch.cdist(hand_features(seen), forms.moments).square().double().numpy()
            found.append((*cheapest_signs(costs, forms.bounds, BETWEEN, BEGIN, PACE), seen))
        _, numbers, spans, seen = min(found, key=lambda reading: reading[0])
        words = [forms.words[number] for number in numbers]
        if isinstance(seen, JointMotion) or not self.faces:
            return words
        return [self._by_face(word, seen.frames(slice(a, b + 1))) for word, (a, b) in zip(words, spans.tolist())]

    def _by_face(self, word: str, motion: Motion) -> str:
        """Of the words whose signs have the same hands, the one whose face is nearest."""
        alike = self._faces.get(self._same.get(word, word))
        if alike is None:
            return word
        seen = face_features(motion)
        return min(alike, key=lambda other: float((_stretched(alike[other], len(seen)) - seen).square().mean()))

    @cached_property
    def _signs(self) -> list[ShownSign]:
        return list(self.known.signs(FINER * RATE, self.frames))

    @cached_property
    def _of_rotations(self) -> _Forms:
        return _Forms.of(self._signs, positions=False)

    @cached_property
    def _of_positions(self) -> _Forms:
        return _Forms.of(self._signs, positions=True)

    @cached_property
    def _faces(self) -> dict[str, dict[str, Tensor]]:
        """First word of a pair whose signs differ in the face -> both -> [T, D] of their faces."""
        shown = {sign.word: sign.motion for sign in self._signs}
        return {
            first: {word: face_features(shown[word]) for word in (first, second)}
            for second, first in self._same.items()
        }


class SignErrorRate(WER):
    """Word error rate of the signs that an oracle reads: as `WER`, on its words. Column "sign error rate", in percent.

    oracle: its hash
    """

    def __init__(self, oracle: str):
        TextMetric.__init__(self, ["sign error rate"], 2, "word", oracle)


def _stretched(frames: Tensor, count: int) -> Tensor:
    """[T, D] -> [count, D], evenly."""
    return frames[torch.linspace(0, len(frames) - 1, count).round().long()]
