"""Performance: a signer makes one sign after the other, with coarticulation between them, as `Motion`."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import roma
import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, NUM_JOINTS, RIGHT_HAND, joint_indices
from soke.body.motion import Motion
from soke.body.rotations import mirror_axis_angle
from soke.data.synthetic.arms import arm_rotations
from soke.data.synthetic.signs import FACE, MANUAL, Posture, SignForm, blend, minimum_jerk, rest_posture, stroke

_ARMS = [
    joint_indices(["right_shoulder", "right_elbow", "right_wrist"]),
    joint_indices(["left_shoulder", "left_elbow", "left_wrist"]),
]
_HANDS = [joint_indices(RIGHT_HAND), joint_indices(LEFT_HAND)]
_NECK, _HEAD, _JAW = joint_indices(["neck", "head", "jaw"])
_COLLARS = joint_indices(["right_collar", "left_collar"])

_REST = 0.05  # s of stillness at both ends of a clip
_ENTRY = 0.17  # s from rest to the first sign and back
_TRANSITION = (0.135, 0.12)  # s between two signs, and s more per m of the way
_BULGE = 0.025  # m by which hands swing forward between signs
_JITTER = {"wrist": 0.004, "swivel": 0.03, "twist": 0.04, "swing": 0.025, "fingers": 0.02, "head": 0.02,
           "jaw": 0.005, "expression": 0.08}  # standard deviation of a signer's slow noise, m or rad
_JITTER_RATE = (0.25, 1.2)  # Hz


@dataclass(frozen=True)
class Signer:
    """name; betas [10] body shape; left_handed: mirrors everything; tempo, amplitude: personal factors;
    noise: 1 for people, 0 for the lexicon's model."""

    name: str
    betas: Tensor
    left_handed: bool = False
    tempo: float = 1.0
    amplitude: float = 1.0
    noise: float = 1.0


NEUTRAL = Signer("neutral", torch.zeros(10), noise=0.0)


@dataclass(frozen=True)
class Performance:
    """What a signer does in T frames, as a right-handed one would.

    posture: `MANUAL` and `FACE`, [T, ...]
    strokes: [signs, 2] s, when each sign begins and ends, without the transitions between them
    signer:  who signs
    fps:     frames per second
    """

    posture: Posture
    strokes: Tensor
    signer: Signer
    fps: float

    def __len__(self) -> int:
        return len(self.posture["jaw"])

    def motion(self) -> Motion:
        motion = Motion(joint_rotations(self.posture), self.posture["expression"], self.signer.betas, self.fps)
        return motion.mirrored() if self.signer.left_handed else motion


_CITATION_TEMPO = 0.6  # a sign of the lexicon is made slowly,
_CITATION_SECONDS = 1.72  # and held so long that its clip lasts as long as this


def perform(
    forms: Sequence[SignForm], signer: Signer, fps: float, rng: torch.Generator, rest: float = _REST,
) -> Performance:
    """A sentence: rest, the signs with minimum-jerk transitions, rest; `rest` s of it at both ends.

    Raises ValueError without signs.
    """
    # Within a signer tempo and amplitude vary a little from clip to clip.
    tempo, amplitude = (1 + signer.noise * 0.05 * (2 * torch.rand(2, generator=rng) - 1)).tolist()
    return _perform(forms, signer, fps, rng, tempo * signer.tempo, amplitude * signer.amplitude, rest=rest)


def cite(form: SignForm, fps: float) -> Performance:
    """A sign alone, as a dictionary shows it, slowly and without a signer's noise; at least 1.7 s."""
    moving = float(form.duration) + 2 * (_ENTRY + _REST)
    hold = max(0.0, (_CITATION_TEMPO * _CITATION_SECONDS - moving) / 2)
    return _perform([form], NEUTRAL, fps, torch.Generator(), _CITATION_TEMPO, 1.0, hold=hold)


def _perform(
    forms: Sequence[SignForm], signer: Signer, fps: float, rng: torch.Generator, tempo: float, amplitude: float,
    rest: float = _REST, hold: float = 0.0,
) -> Performance:
    if not forms:
        raise ValueError("a performance needs at least one sign")
    ends = torch.tensor([0.0, 1.0])
    still = rest_posture()
    edges = [stroke(form, ends, amplitude) for form in forms]
    # Segments: (seconds, function of the phase [T] that gives the posture).
    segments = [(rest, _between(still, still)), (_ENTRY, _between(still, _at(edges[0], 0)))]
    signs = []  # the segments of each sign: from, up to
    for i, form in enumerate(forms):
        if i:
            start, end = _at(edges[i - 1], 1), _at(edges[i], 0)
            way = float((end["wrist"] - start["wrist"]).norm(dim=-1).amax())
            segments.append((_TRANSITION[0] + _TRANSITION[1] * way, _between(start, end, _BULGE)))
        begin, end = _at(edges[i], 0), _at(edges[i], 1)
        made = [
            (hold, _between(begin, begin)),
            (float(form.duration), lambda phase, form=form: stroke(form, phase, amplitude)),
            (hold, _between(end, end)),
        ]
        signs.append((len(segments), len(segments) + len(made)))
        segments += made
    segments += [(_ENTRY, _between(_at(edges[-1], 1), still)), (rest, _between(still, still))]
    segments = [(seconds / tempo, function) for seconds, function in segments]

    bounds = torch.tensor([0.0, *(seconds for seconds, _ in segments)], dtype=torch.float64).cumsum(0)
    time = torch.arange(math.ceil(float(bounds[-1]) * fps), dtype=torch.float64) / fps
    where = torch.searchsorted(bounds[1:-1], time, right=True)
    pieces = []
    for i, (seconds, function) in enumerate(segments):
        if seconds > 0:
            pieces.append(function(((time[where == i] - bounds[i]) / seconds).float()))
    posture = {k: torch.cat([piece[k] for piece in pieces]) for k in (*MANUAL, *FACE)}
    if signer.noise:
        jittered = {k: v + signer.noise * _JITTER[k] * slow_noise(v.shape, fps, rng) for k, v in posture.items()}
        posture = jittered | {"jaw": jittered["jaw"].clamp(min=0)}
    return Performance(posture, bounds[torch.tensor(signs)].float(), signer, fps)


def _at(postures: Posture, index: int) -> Posture:
    return {k: v[index] for k, v in postures.items()}


def _between(start: Posture, end: Posture, bulge: float = 0.0):
    def function(phase: Tensor) -> Posture:
        way = minimum_jerk(phase)
        posture = {k: blend(start[k], end[k], way, shape) for k, shape in {**MANUAL, **FACE}.items()}
        posture["wrist"][..., 2] += bulge * 4 * (way * (1 - way))[:, None]
        return posture

    return function


def slow_noise(shape: torch.Size, fps: float, rng: torch.Generator) -> Tensor:
    """[T, ...] of unit variance: three slow sines per channel."""
    time = torch.arange(shape[0]) / fps
    low, high = _JITTER_RATE
    rate = low + (high - low) * torch.rand(3, *shape[1:], generator=rng)
    start = torch.rand(3, *shape[1:], generator=rng)
    turns = time.reshape(-1, *(1 for _ in rate.shape)) * rate + start  # [T, 3, ...]
    return (2 * math.pi * turns).sin().sum(1) * math.sqrt(2 / 3)


def joint_rotations(posture: Posture) -> Tensor:
    """`MANUAL` and `FACE` postures of T frames -> [T, 55, 3] of a right-handed signer."""
    rotations = torch.zeros(len(posture["jaw"]), NUM_JOINTS, 3)
    arms = roma.rotmat_to_rotvec(
        arm_rotations(posture["wrist"], posture["swivel"], posture["twist"], posture["swing"])
    )  # [T, 2, 3, 3]
    rotations[:, _ARMS[0]] = arms[:, 0]
    rotations[:, _ARMS[1]] = mirror_axis_angle(arms[:, 1])
    rotations[:, _HANDS[0]] = posture["fingers"][:, 0]
    rotations[:, _HANDS[1]] = mirror_axis_angle(posture["fingers"][:, 1])
    rotations[:, _NECK] = rotations[:, _HEAD] = posture["head"] / 2
    rotations[:, _JAW, 0] = posture["jaw"]
    return rotations
