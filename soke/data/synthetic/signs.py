"""Sign forms: handshape, place, orientation, movement and face of every sign of an invented sign language.

Both hands are described as right hands; the second one (the signer's left) lives in the mirrored body.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import torch
from torch import Tensor

from soke.data.synthetic.arms import REACH, SHOULDER, UPPER_ARM, arm_rotations, hand_axes, orient_hand
from soke.data.synthetic.handshapes import HANDSHAPES, LONG, NAMES, SLACK
from soke.data.synthetic.language import SpokenLanguage

Posture = dict[str, Tensor]
# What a signer controls, with the shape per frame. Positions in m, rotations in radians; hand 0 is the dominant one.
MANUAL = {"wrist": (2, 3), "swivel": (2,), "twist": (2,), "swing": (2, 2), "fingers": (2, 15, 3)}
FACE = {"head": (3,), "jaw": (), "expression": (10,)}

POOL = 12000  # invented forms from which the signs of a language are chosen
_PHASES = 6  # moments of a stroke at which forms are compared
_ORIENTATION_ERROR = 0.35  # rad by which a wrist may miss the wanted orientation
_GAP = 0.06  # m between the two hands
_ELBOW_HEIGHT = 0.03  # m, well below the shoulder

# Places of the palm or of the fingertips: (x, y, z, whether the fingertips touch), dominant hand.
_PLACES = torch.tensor([
    (-0.06, 0.40, 0.165, 1), (-0.10, 0.34, 0.13, 1), (-0.06, 0.285, 0.17, 1), (-0.02, 0.245, 0.185, 1),
    (-0.23, 0.30, 0.20, 0), (-0.17, 0.15, 0.15, 1), (-0.05, 0.08, 0.20, 1), (-0.13, 0.03, 0.24, 0),
    (-0.05, -0.08, 0.24, 0), (-0.26, 0.02, 0.30, 0), (-0.10, 0.02, 0.34, 0), (0.06, 0.04, 0.33, 0),
    (-0.24, 0.20, 0.30, 0), (-0.08, 0.18, 0.34, 0), (-0.24, -0.12, 0.28, 0), (-0.10, -0.12, 0.30, 0),
])
# Directions of the fingers and of the palm.
_ORIENTATIONS = torch.tensor([
    ((0.1, 1.0, 0.2), (0.0, 0.0, 1.0)), ((0.15, 1.0, 0.1), (1.0, 0.0, 0.0)), ((0.35, 0.9, 0.0), (0.0, 0.0, -1.0)),
    ((0.6, 0.0, 0.8), (0.0, -1.0, 0.0)), ((1.0, 0.2, 0.2), (0.0, 0.0, -1.0)), ((0.1, 0.1, 1.0), (1.0, 0.0, 0.0)),
    ((0.4, 0.1, 0.9), (0.0, 1.0, 0.0)), ((0.5, 0.6, -0.5), (0.0, -0.5, -0.5)), ((0.7, 0.7, 0.2), (0.3, -0.2, -1.0)),
    ((0.1, 0.5, 0.9), (0.2, -1.0, 0.4)), ((1.0, 0.0, 0.3), (0.0, -1.0, 0.0)), ((0.4, 0.8, -0.4), (0.5, -0.2, -0.8)),
])
_BASE_PALM = torch.tensor([-0.02, -0.03, 0.29])  # of the second hand, in its own mirrored body
_BASE_ORIENTATIONS = torch.tensor([
    ((0.8, 0.1, 0.6), (0.0, 1.0, 0.0)), ((0.8, 0.1, 0.6), (0.0, -1.0, 0.0)), ((0.9, 0.2, 0.3), (0.0, 0.0, -1.0)),
])
_ABOVE_BASE = torch.tensor([(0.02, 0.09, 0.0), (-0.04, 0.03, 0.09), (-0.10, 0.05, 0.02)])

# Movements. Path: weights [5, 3] of the functions in `_path_functions` for x, y, z, in m.
_ARC, _SHAKE, _TAP, _SINE, _COSINE = range(5)


@dataclass(frozen=True)
class _Movement:
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m from start to end
    path: tuple[tuple[int, int, float], ...] = ()  # (function, axis, m)
    wiggle: float = 0.0  # rad of forearm twist
    flutter: bool = False  # the hand opens and closes more than once
    duration: float = 0.27  # s


_MOVEMENTS = (
    _Movement(shift=(-0.13, 0.0, 0.0)), _Movement(shift=(0.12, 0.0, 0.0)), _Movement(shift=(0.0, -0.13, 0.0)),
    _Movement(shift=(0.0, 0.12, 0.0)), _Movement(shift=(0.0, 0.02, 0.13)), _Movement(shift=(-0.08, -0.08, 0.04)),
    _Movement(shift=(-0.14, 0.0, 0.0), path=((_ARC, 1, 0.06),)),
    _Movement(shift=(0.13, 0.0, 0.0), path=((_ARC, 1, -0.06),)),
    _Movement(shift=(0.0, -0.10, 0.06), path=((_ARC, 2, 0.06),)),
    _Movement(path=((_SINE, 0, 0.045), (_COSINE, 1, 0.045)), duration=0.36),
    _Movement(path=((_SINE, 0, 0.045), (_COSINE, 2, 0.045)), duration=0.36),
    _Movement(path=((_COSINE, 1, -0.045), (_SINE, 2, 0.045)), duration=0.36),
    _Movement(path=((_SHAKE, 0, 0.035),), duration=0.36), _Movement(path=((_SHAKE, 1, 0.035),), duration=0.37),
    _Movement(path=((_TAP, 2, 0.06),), duration=0.35), _Movement(path=((_TAP, 1, 0.06),), duration=0.35),
    _Movement(wiggle=0.55, duration=0.35), _Movement(flutter=True, duration=0.48), _Movement(),
)


def _path_table() -> Tensor:
    table = torch.zeros(len(_MOVEMENTS), 5, 3)
    for row, movement in zip(table, _MOVEMENTS):
        for function, axis, size in movement.path:
            row[function, axis] = size
    return table


@dataclass(frozen=True)
class SignForm:
    """One way to make a sign, or a batch of them: every tensor then has a leading dimension.

    start, end: postures of the hands (`MANUAL`) at the ends of the stroke
    path:       [5, 3] m, movement of the dominant wrist beyond the straight line
    follow:     what the second hand makes of that movement: 1 the same, -1 the opposite, 0 nothing
    wiggle:     rad, oscillation of the forearm's twist
    flutter:    1 where the handshape changes to and fro, else 0
    duration:   s of the stroke at a neutral tempo
    face:       `FACE` posture; the jaw's is the widest opening
    beats:      how often the mouth opens
    """

    start: Posture
    end: Posture
    path: Tensor
    follow: Tensor
    wiggle: Tensor
    flutter: Tensor
    duration: Tensor
    face: Posture
    beats: Tensor

    def __getitem__(self, index: int | Tensor) -> SignForm:
        """One form, or several, of a batch."""
        values = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            values[entry.name] = {k: v[index] for k, v in value.items()} if isinstance(value, dict) else value[index]
        return SignForm(**values)


def minimum_jerk(phase: Tensor) -> Tensor:
    """Phase in [0, 1] -> way done in [0, 1], at rest on both ends (Flash and Hogan 1985)."""
    return phase**3 * (10 - 15 * phase + 6 * phase**2)


def blend(start: Tensor, end: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """start, end [*B, *shape] and weight [*B, T] or [T] -> [*B, T, *shape]."""
    at = start.ndim - len(shape)
    weight = weight.reshape(*weight.shape, *(1 for _ in shape))
    return start.unsqueeze(at) + (end - start).unsqueeze(at) * weight


def _shake(phase: Tensor) -> Tensor:
    """To and fro twice, at rest on both ends."""
    return (4 * math.pi * phase).sin() * (math.pi * phase).sin()


def _path_functions(phase: Tensor) -> Tensor:
    """Phase [T] -> [5, T]: arc, shake, double tap, sine and cosine of one turn; all at rest on both ends."""
    turn = 2 * math.pi * minimum_jerk(phase)
    tap = (2 * math.pi * phase).sin() ** 2
    return torch.stack([(turn / 2).sin(), _shake(phase), tap, turn.sin(), 1 - turn.cos()])


def stroke(form: SignForm, phase: Tensor, amplitude: float = 1.0) -> Posture:
    """Postures of a form (or of a batch) at phases [T] in [0, 1] of its stroke: `MANUAL` and `FACE`, [*B, T, ...].

    amplitude: scales the size of the movement about its middle
    """
    way = minimum_jerk(phase)
    posture = {k: blend(form.start[k], form.end[k], way, shape) for k, shape in MANUAL.items() if k != "fingers"}
    posture["wrist"] = posture["wrist"] + (amplitude - 1) * blend(
        form.start["wrist"] - form.end["wrist"], form.end["wrist"] - form.start["wrist"], way, (2, 3)
    ) / 2
    offset = amplitude * torch.einsum("...fx,ft->...tx", form.path, _path_functions(phase))
    hands = torch.stack([torch.ones_like(form.follow), form.follow], dim=-1)[..., None, :]  # [*B, 1, 2]
    posture["wrist"] = posture["wrist"] + offset.unsqueeze(-2) * hands.unsqueeze(-1)
    wiggle = amplitude * form.wiggle[..., None] * _shake(phase)
    posture["twist"] = posture["twist"] + wiggle.unsqueeze(-1) * hands
    flutter = form.flutter[..., None]
    opened = (1 - flutter) * way + flutter * (1 - (3 * math.pi * phase).cos()) / 2
    posture["fingers"] = blend(form.start["fingers"], form.end["fingers"], opened, MANUAL["fingers"])
    still = torch.zeros_like(way)
    posture |= {k: blend(form.face[k], form.face[k], still, FACE[k]) for k in ("head", "expression")}
    posture["jaw"] = form.face["jaw"][..., None] * (math.pi * form.beats[..., None] * phase).sin() ** 2
    return posture


@cache
def rest_posture() -> Posture:
    """The signer waits, hands low in front of the body. Not to be written to."""
    wrist = torch.tensor([[-0.13, -0.20, 0.22]])
    _, twist, swing, _ = orient_hand(wrist, torch.tensor([[0.5, -0.3, 0.8]]), torch.tensor([[0.4, -0.8, -0.4]]))
    swivel = torch.tensor([0.3])
    one_hand = {"wrist": wrist, "swivel": swivel, "twist": twist, "swing": swing, "fingers": SLACK[None]}
    both = {k: v.expand(2, *v.shape[1:]).clone() for k, v in one_hand.items()}
    return both | {"head": torch.zeros(3), "jaw": torch.zeros(()), "expression": torch.zeros(10)}


def invent_signs(spoken: SpokenLanguage, seed: int, pool: int = POOL) -> dict[str, tuple[SignForm, ...]]:
    """Word -> its sign's form, two forms for a word with variants; all as unlike each other as a random pool allows.

    The words of a face pair share their hands. About every second sign is made with both hands.

    pool: number of forms, of which most cannot be made, to choose from
    """
    rng = torch.Generator().manual_seed(seed)
    forms, one_handed = _pool(rng, pool)
    same_hands = {second: first for first, second in spoken.face_pairs}
    slots = [(w, n) for w in spoken.vocabulary if w not in same_hands for n in range(1 + (w in spoken.variants))]
    chosen = _unlike_each_other(_features(forms), one_handed, len(slots))
    signs: dict[str, tuple[SignForm, ...]] = {}
    for (word, _), index in zip(slots, chosen):
        signs[word] = (*signs.get(word, ()), forms[index])
    for second, first in same_hands.items():
        form = signs[first][0]
        # The opposite expression, and a mouth that moves where the other hardly does.
        face = form.face | {
            "expression": -form.face["expression"], "head": -form.face["head"], "jaw": 0.30 - form.face["jaw"],
        }
        manual = {entry.name: getattr(form, entry.name) for entry in fields(form)}
        signs[second] = (SignForm(**(manual | {"face": face, "beats": 3 - form.beats})),)
    return signs


def _unlike_each_other(features: Tensor, one_handed: Tensor, count: int) -> list[int]:
    """Farthest-point choice of `count` rows of [N, D], one-handed and two-handed rows by turns."""
    nearest = torch.full((len(features),), math.inf)
    chosen: list[int] = []
    for i in range(count):
        pool = (one_handed if i % 2 == 0 else ~one_handed).nonzero()[:, 0]
        # The first one is arbitrary; afterwards the row that is farthest from all chosen ones.
        index = int(pool[nearest[pool].argmax()])
        nearest = torch.minimum(nearest, (features - features[index]).square().sum(1))
        chosen.append(index)
    return chosen


def _features(forms: SignForm) -> Tensor:
    """[N, D] of N forms: strokes in comparable units, with the most weight on the handshape."""
    posture = stroke(forms, torch.linspace(0, 1, _PHASES))
    hands = torch.tensor([1.0, 0.7])[:, None]
    parts = [
        posture["fingers"].flatten(-2) * hands,
        posture["wrist"] * 4 * hands,  # 25 cm count like one radian
        posture["twist"][..., None] * 0.5 * hands,
    ]
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _choice(rng: torch.Generator, options: int, count: int) -> Tensor:
    return torch.randint(options, (count,), generator=rng)


def _hand(palm: Tensor, orientation: Tensor, contact: Tensor, long: Tensor, fingers: Tensor) -> tuple[Posture, Tensor]:
    """Palm (or touching fingertips) [B, 3], directions [B, 2, 3] -> posture of one hand, orientation error [B]."""
    direction = torch.nn.functional.normalize(orientation[:, 0], dim=-1)
    ahead = torch.where(contact, torch.where(long, 0.185, 0.12), 0.09)  # m from the wrist
    wrist = palm - ahead[:, None] * direction
    swivel, twist, swing, error = orient_hand(wrist, orientation[:, 0], orientation[:, 1])
    return {"wrist": wrist, "swivel": swivel, "twist": twist, "swing": swing, "fingers": fingers}, error


def _pool(rng: torch.Generator, n: int) -> tuple[SignForm, Tensor]:
    """Those of n random forms that a body can make, and which of them need one hand only [N]."""
    kind = _choice(rng, 4, n)  # 0, 1: one hand; 2: both alike; 3: the second hand is a base
    movement = _choice(rng, len(_MOVEMENTS), n)
    shift = torch.tensor([m.shift for m in _MOVEMENTS])[movement]
    first, second = _choice(rng, len(NAMES), n), _choice(rng, len(NAMES), n)
    flutter = torch.tensor([float(m.flutter) for m in _MOVEMENTS])[movement]
    # Without a movement of the wrist the handshape has to change, else it does in half of the signs.
    moves = torch.tensor([m != _Movement() and not m.flutter for m in _MOVEMENTS])[movement]
    second = torch.where(moves & (torch.rand(n, generator=rng) < 0.5), first, second)
    place = _PLACES[_choice(rng, len(_PLACES), n)]
    above = _BASE_PALM * torch.tensor([-1.0, 1.0, 1.0]) + _ABOVE_BASE[_choice(rng, len(_ABOVE_BASE), n)]
    palm = torch.where((kind == 3)[:, None], above, place[:, :3])
    contact = (place[:, 3] > 0) & (kind != 3)
    turn, turn_to = _choice(rng, len(_ORIENTATIONS), n), _choice(rng, len(_ORIENTATIONS), n)
    turn_to = torch.where(torch.rand(n, generator=rng) < 0.3, turn_to, turn)

    # Where the fingertips touch at the start, the wrist keeps that distance to the end.
    start, error_start = _hand(palm, _ORIENTATIONS[turn], contact, LONG[first], HANDSHAPES[first])
    end, error_end = _hand(palm + shift, _ORIENTATIONS[turn_to], contact, LONG[first], HANDSHAPES[second])
    base_shape = _choice(rng, len(NAMES), n)
    base, error_base = _hand(
        _BASE_PALM.expand(n, 3), _BASE_ORIENTATIONS[_choice(rng, len(_BASE_ORIENTATIONS), n)],
        torch.zeros(n, dtype=torch.bool), LONG[base_shape], HANDSHAPES[base_shape],
    )
    rest = {k: rest_posture()[k][0].expand(n, *shape[1:]) for k, shape in MANUAL.items()}

    def both(hand: Posture) -> Posture:
        joined = {}
        for key in MANUAL:
            selector = kind.reshape(n, *(1 for _ in hand[key].shape[1:]))
            other = torch.where(selector == 2, hand[key], torch.where(selector == 3, base[key], rest[key]))
            joined[key] = torch.stack([hand[key], other], dim=1)
        return joined

    alternating = torch.where(torch.rand(n, generator=rng) < 0.4, -1.0, 1.0)
    expression = torch.randn(n, 10, generator=rng).clamp(-1.5, 1.5) * (torch.rand(n, 10, generator=rng) < 0.4)
    forms = SignForm(
        start=both(start),
        end=both(end),
        path=_path_table()[movement],
        follow=torch.where(kind == 2, alternating, 0.0),
        wiggle=torch.tensor([m.wiggle for m in _MOVEMENTS])[movement],
        flutter=flutter,
        duration=torch.tensor([m.duration for m in _MOVEMENTS])[movement],
        face={
            "head": 0.09 * torch.randn(n, 3, generator=rng).clamp(-2, 2),
            "jaw": 0.05 + 0.20 * torch.rand(n, generator=rng),
            "expression": expression,
        },
        beats=1.0 + _choice(rng, 2, n),
    )
    error = torch.stack([error_start, error_end, error_base * (kind == 3)]).amax(0)
    changes = moves | (first != second)
    # A face pair needs expressions that can be told apart.
    usable = _possible(forms) & (error < _ORIENTATION_ERROR) & changes & (expression.norm(dim=1) > 1.2)
    return forms[usable.nonzero()[:, 0]], (kind < 2)[usable]


def _possible(forms: SignForm) -> Tensor:
    """[N] whether the arms reach everything with the elbows down and clear of the body, the hands apart."""
    posture = stroke(forms, torch.linspace(0, 1, _PHASES))
    wrist = posture["wrist"]  # [N, T, 2, 3]
    arm = arm_rotations(wrist, posture["swivel"], posture["twist"], posture["swing"])
    direction, _ = hand_axes(arm)
    distance = (wrist - SHOULDER).norm(dim=-1)
    reached = ((distance > 0.17) & (distance < REACH - 0.01)).flatten(1).all(1)
    bend = posture["fingers"].unflatten(-2, (5, 3))[..., :4, 0, 2].amin(-1)  # of the straightest finger
    tip = torch.where(bend < 0.5, 0.185, 0.125)[..., None]
    elbow = SHOULDER - UPPER_ARM * arm[..., 0, :, 0]
    points = torch.stack([wrist, wrist + 0.09 * direction, wrist + tip * direction, (elbow + wrist) / 2], dim=3)
    margin = torch.tensor([0.035, 0.03, 0.008, 0.0])
    clear = (_depth(points) > margin).flatten(1).all(1)
    low = (elbow[..., 1] < _ELBOW_HEIGHT).flatten(1).all(1)
    first, second = points[:, :, 0], points[:, :, 1] * torch.tensor([-1.0, 1.0, 1.0])
    crossed = (wrist[..., 0].sum(-1) > 0.05).any(1)  # m by which the wrists pass each other
    apart = (torch.cdist(first, second) > _GAP).flatten(1).all(1)
    return reached & clear & low & apart & ~crossed


def _depth(points: Tensor) -> Tensor:
    """[..., 3] -> [...] about how far the points are in front of head and trunk, m."""
    x, y, z = points.unbind(-1)
    trunk_front = 0.15 - 0.065 * ((y - 0.03) / 0.14).clamp(0, 1)
    beside = (x.abs() - 0.16).clamp(min=0) + (y - 0.20).clamp(min=0)  # the shoulders end, the neck begins
    trunk = torch.where(beside > 0, beside.clamp(min=0.05), z - trunk_front)
    radii = torch.tensor([0.085, 0.13, 0.115])
    head = ((points - torch.tensor([0.0, 0.32, 0.055])) / radii).norm(dim=-1) - 1
    return torch.minimum(trunk, head * 0.1)
