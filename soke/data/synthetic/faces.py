"""The faces of the synthetic signers: mouthings, brows and head, blinks and gaze on top of what the hands sign.

Everything follows the hands' timing and has random streams of its own, so that hands and arms are what they are without
a face.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor
from torch.nn.functional import pad

from soke.body.joints import JOINT_GROUPS, joint_indices
from soke.body.motion import HEAD_SHAPES, Motion
from soke.data.synthetic.facial_actions import FacialActions
from soke.data.synthetic.grammar import Marks
from soke.data.synthetic.motion import Performance, joint_rotations, slow_noise
from soke.data.synthetic.mouthings import mouth, place_shapes
from soke.data.synthetic.signs import minimum_jerk
from soke.data.synthetic.visemes import VISEMES

_EYES = joint_indices(JOINT_GROUPS["eyes"])
_EYE_PLACE = torch.tensor([0.0, 0.339, 0.124])  # m, between the eyes of the stand-in body at rest
_ADDRESSEE = torch.tensor([0.0, 0.0, 1.0])  # direction
_GAZE_LIMITS = (0.45, 0.35)  # rad an eye turns sideways, and up or down

# Strengths of facial actions and the head's turn (rad about x: down, y: to the left, z: to the right shoulder).
_TOPIC = ({"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.25}, (-0.09, 0.0, 0.05))
_QUESTION = ({"browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 0.6}, (0.12, 0.0, 0.0))
_NEGATION = ({"browDown": 1.0, "eyeSquint": 0.4, "noseSneer": 0.4}, (0.0, 0.0, 0.0))  # and the shake
_SHAKE, _SHAKE_RATE = 0.13, 2.2  # rad to either side, Hz
_ONSET = 0.14  # s in which brows and head go up or come back
_EARLY = 0.06  # s by which they begin before the hands

_LID_AT_REST = 0.04
_LID_FOLLOWS = 0.5  # lid per rad of gaze downwards
_BLINK = (0.07, 0.06, 0.13)  # s to close, closed, to open
_BLINK_AT = -0.04  # s from the end of a sign, so that the eyes open again before the hands rest
_STRAY_BLINK = 0.3  # share of clips with a blink at any time
_SACCADE = 0.07  # s

# Standard deviations of what differs between signers, and of what differs between clips.
_HABIT = {"mouth": 0.15, "brows": 0.15, "lag": 0.02, "rest": 0.05, "shapes": 0.35, "head_shape": 0.8}
_CLIP = {"mouth": 0.15, "shape": 0.25, "brows": 0.15, "moment": 0.018}
_SLURRED, _WEAK = 0.2, 4  # share of the shapes up to this salience that a person leaves out
_TRACKING, _JITTER = 0.05, 0.015  # of every facial action's strength: slow noise, and another from frame to frame
_JAW_TRACKING = 0.006  # rad
_EYE_TRACKING = 0.012  # rad


@dataclass(frozen=True)
class FaceHabits:
    """A signer's face.

    head_shape: [300]
    mouth:      strength of the mouthings, against the model's
    brows:      of brows and lids, likewise
    lag:        s behind the hands
    rest:       [A] actions at rest
    shapes:     [V, A] what the person makes of each action in each of `VISEMES`, against the model
    noise:      1 for people, 0 for the lexicon's model
    """

    head_shape: Tensor
    mouth: float
    brows: float
    lag: float
    rest: Tensor
    shapes: Tensor
    noise: float = 1.0


@dataclass(frozen=True)
class FacePlan:
    """What a face does in a performance of S signs.

    mouthings: S words' mouth shapes, names of `VISEMES`
    marks:     topics, questions, negations and boundaries
    looks:     S times whether the eyes follow the hand
    accents:   S times actions that belong to the sign itself, by name
    """

    mouthings: tuple[tuple[str, ...], ...]
    marks: Marks
    looks: tuple[bool, ...]
    accents: tuple[dict[str, float], ...]


def model_face(actions: FacialActions) -> FaceHabits:
    """Of the lexicon's model: no habits and no noise."""
    known = len(actions.names)
    return FaceHabits(torch.zeros(HEAD_SHAPES), 1.0, 1.0, 0.0, torch.zeros(known), torch.ones(len(VISEMES), known), 0.0)


def draw_habits(count: int, actions: FacialActions, rng: torch.Generator) -> tuple[FaceHabits, ...]:
    """The faces of `count` signers; the first ten coefficients of the head's shape differ."""
    shape = _HABIT["head_shape"] * torch.randn(count, 10, generator=rng).clamp(-2, 2)
    mouth_, brows, lag = torch.randn(3, count, generator=rng).clamp(-2, 2)
    rest = _HABIT["rest"] * torch.randn(count, len(actions.names), generator=rng).clamp(-2, 2)
    shapes = 1 + _HABIT["shapes"] * torch.randn(count, len(VISEMES), len(actions.names), generator=rng).clamp(-2, 2)
    return tuple(
        FaceHabits(
            pad(shape[i], (0, HEAD_SHAPES - 10)), 1 + _HABIT["mouth"] * float(mouth_[i]),
            1 + _HABIT["brows"] * float(brows[i]), _HABIT["lag"] * float(lag[i]),
            actions.alike(rest[i]), actions.alike(shapes[i]),
        )
        for i in range(count)
    )


def with_face(
    performance: Performance, plan: FacePlan, habits: FaceHabits, actions: FacialActions, rng: torch.Generator,
) -> tuple[Motion, tuple[float, ...]]:
    """The performance as SMPL-FX: 100 expression coefficients, eyelids, eyes, head shape; and when it blinks, s.

    Hands and arms are those of `performance.motion()`; jaw, head and expression are new.
    """
    fps, frames, noise = performance.fps, len(performance), habits.noise
    time = torch.arange(frames) / fps
    strokes = performance.strokes + habits.lag
    strengths, jaw = _mouth(plan, habits, actions, time, strokes, rng)
    upper, turn = _brows_and_head(plan, actions, time, strokes)
    strengths = strengths + upper * habits.brows * (1 + noise * _CLIP["brows"] * _normal((), rng))
    strengths = strengths + habits.rest + noise * _TRACKING * slow_noise(strengths.shape, fps, rng)
    strengths = strengths + noise * _JITTER * _normal(strengths.shape, rng)
    jaw = (jaw + noise * _JAW_TRACKING * slow_noise(jaw.shape, fps, rng)).clamp(min=0)
    head = performance.posture["head"] + turn
    gaze = _gaze(performance, plan, head, time)
    gaze = gaze + noise * _EYE_TRACKING * slow_noise(gaze.shape, fps, rng)
    blinks = _blink_times(plan, habits, strokes, frames / fps, rng)

    posture = performance.posture | {"head": head, "jaw": jaw}
    rotations = joint_rotations(posture)
    rotations[:, _EYES] = _eye_rotations(gaze)[:, None]
    motion = Motion(
        rotations, actions.expression(strengths), performance.signer.betas, fps, _eyelids(blinks, gaze, time),
        head_shape=habits.head_shape,
    )
    return motion.mirrored() if performance.signer.left_handed else motion, blinks


def fitted_face(motion: Motion, actions: FacialActions) -> Motion:
    """The same as a fit of SMPL-X gives it for SOKE's frames: ten expression coefficients; lids and eyes are lacking."""
    rotations = motion.rotations.clone()
    rotations[:, _EYES] = 0.0
    expression = actions.fitted(motion.expression, motion.eyelids)
    return replace(
        motion, rotations=rotations, expression=expression, eyelids=None, head_shape=None,
        lacking=frozenset(JOINT_GROUPS["eyes"]),
    )


def _normal(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng).clamp(-2, 2)


def _mouth(
    plan: FacePlan, habits: FaceHabits, actions: FacialActions, time: Tensor, strokes: Tensor, rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    shapes = place_shapes(plan.mouthings, strokes)
    each = (len(shapes.names),)
    strength = habits.mouth * (1 + habits.noise * _CLIP["mouth"] * _normal((), rng))
    strength = strength * (1 + habits.noise * _CLIP["shape"] * _normal(each, rng))
    at = shapes.at + habits.noise * _CLIP["moment"] * _normal(each, rng)
    slurred = habits.noise * (torch.rand(each, generator=rng) < _SLURRED)
    weak = torch.tensor([float(VISEMES[name].salience <= _WEAK) for name in shapes.names])
    return mouth(replace(shapes, at=at, strength=strength * (1 - slurred * weak)), time, actions, habits.shapes)


def _brows_and_head(
    plan: FacePlan, actions: FacialActions, time: Tensor, strokes: Tensor,
) -> tuple[Tensor, Tensor]:
    """Facial actions [T, A] and turn of the head [T, 3] of topics, questions, negations, and of single signs."""
    strengths, turn = torch.zeros(len(time), len(actions.names)), torch.zeros(len(time), 3)
    marks = plan.marks
    brows_of = [(marks.topics, _TOPIC), (marks.questions, _QUESTION)]
    if not marks.questions:  # which keep the brows
        brows_of.append((marks.negations, _NEGATION))
    for runs, (face, head) in brows_of:
        for run in runs:
            window, _ = _over(run, time, strokes)
            strengths += window * actions.strengths(face)
            turn += window * torch.tensor(head)
    for run in marks.negations:
        window, since = _over(run, time, strokes)
        turn += window * torch.tensor([0.0, _SHAKE, 0.0]) * (2 * math.pi * _SHAKE_RATE * since).sin()
    for accent, (start, end) in zip(plan.accents, strokes):
        if accent:
            strengths += _window(time, start - _EARLY, end)[:, None] * actions.strengths(accent)
    return strengths, turn


def _over(run: tuple[int, int], time: Tensor, strokes: Tensor) -> tuple[Tensor, Tensor]:
    """[T, 1] 1 during a run of signs, and the seconds since it began."""
    start, end = strokes[run[0], 0] - _EARLY, strokes[run[1], 1]
    return _window(time, start, end)[:, None], (time - start)[:, None]


def _window(time: Tensor, start: Tensor, end: Tensor, onset: float = _ONSET) -> Tensor:
    """[T] 1 between two moments, 0 elsewhere, rising before and falling after."""
    rise = minimum_jerk(((time - start) / onset + 0.5).clamp(0, 1))
    return rise * (1 - minimum_jerk(((time - end) / onset + 0.5).clamp(0, 1)))


def _gaze(performance: Performance, plan: FacePlan, head: Tensor, time: Tensor) -> Tensor:
    """[T, 2] turn of the eyes in the head, rad down and to the left: at the hand in some signs, else at the addressee,
    on whom they rest while the head turns."""
    at_hand = torch.zeros(len(time))
    for looks, (start, end) in zip(plan.looks, performance.strokes):
        if looks:
            at_hand = torch.maximum(at_hand, _window(time, start, end, _SACCADE))
    hand = torch.nn.functional.normalize(performance.posture["wrist"][:, 0] - _EYE_PLACE, dim=-1)
    direction = torch.lerp(_ADDRESSEE.expand_as(hand), hand, at_hand[:, None])
    x, y, z = (roma.rotvec_to_rotmat(-head) @ direction[..., None]).squeeze(-1).unbind(-1)
    down, left = torch.atan2(-y, torch.hypot(x, z)), torch.atan2(x, z)
    sideways, upright = _GAZE_LIMITS
    return torch.stack([down.clamp(-upright, upright), left.clamp(-sideways, sideways)], dim=1)


def _eye_rotations(gaze: Tensor) -> Tensor:
    """[T, 2] rad down and to the left -> [T, 3] axis-angle."""
    zero = torch.zeros_like(gaze[:, 0])
    down = roma.rotvec_to_unitquat(torch.stack([gaze[:, 0], zero, zero], dim=1))
    left = roma.rotvec_to_unitquat(torch.stack([zero, gaze[:, 1], zero], dim=1))
    return roma.unitquat_to_rotvec(roma.quat_product(left, down))


def _blink_times(
    plan: FacePlan, habits: FaceHabits, strokes: Tensor, seconds: float, rng: torch.Generator,
) -> tuple[float, ...]:
    """When lids begin to close, s: at every boundary, and now and then without a reason."""
    times = [float(strokes[sign, 1]) + _BLINK_AT for sign in plan.marks.boundaries]
    chance, at = torch.rand(2, generator=rng).tolist()
    if habits.noise and chance < _STRAY_BLINK:
        times.append(at * (seconds - sum(_BLINK)))
    return tuple(sorted(times))


def _eyelids(blinks: Sequence[float], gaze: Tensor, time: Tensor) -> Tensor:
    """[T, 2] 0 open to 1 closed; lids sink a little with a gaze downwards."""
    opened = 1 - (_LID_AT_REST + _LID_FOLLOWS * gaze[:, 0].clamp(min=0)).clamp(0, 1)
    closing, closed, opening = _BLINK
    for blink in blinks:
        shut = minimum_jerk(((time - blink) / closing).clamp(0, 1))
        shut = shut * (1 - minimum_jerk(((time - blink - closing - closed) / opening).clamp(0, 1)))
        opened = opened * (1 - shut)
    return (1 - opened).clamp(0, 1)[:, None].expand(-1, 2).clone()
