"""The kinds of damage. Each is a function of a motion, a grade and what damage is done with; the same gives the same.

Grades are 1, 2 and 3, of which each is worse than the one before; all numbers are chosen here [A].
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.body.rotations import turned_axis_angle
from soke.evaluation.damage import limbs
from soke.evaluation.editing import blended, frame_values, joined, stretched, with_pieces

GRADES = (1, 2, 3)
AnyMotion = Motion | JointMotion

_SLOWER = {1: 1.25, 2: 1.6, 3: 2.2}
_JITTER = {1: 0.02, 2: 0.06, 3: 0.18}  # rad from frame to frame; a quarter as many shoulder widths
_SMOOTH = {1: 0.06, 2: 0.15, 3: 0.4}  # s, of a Gaussian's standard deviation
_KEPT = {1: 0.85, 2: 0.6, 3: 0.35}  # of the frames
_HELD = {1: 2, 2: 5, 3: 10}  # frames in the place of each of which the first stands
_RAISED = {1: 0.15, 2: 0.4, 3: 0.8}  # rad at the shoulders; half as many shoulder widths
_OTHER = {1: 0.5, 2: 1.0, 3: 2.0}  # of the differences between people
_BETAS, _SWAY, _TEMPO, _SIZE = 1.0, 0.04, 0.06, 0.06  # such: of each shape coefficient; rad or widths; shares


@dataclass(frozen=True)
class Material:
    """What damage to a clip is done with.

    spans:  frames of its signs, in order, apart from each other
    mean:   a frame of the mean posture
    other:  another sentence
    donors: signs of other clips
    seed:   of all that is drawn
    """

    spans: Sequence[slice]
    mean: AnyMotion
    other: AnyMotion
    donors: Donors
    seed: int

    def rng(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def chosen(self, grade: int, most: int | None = None) -> list[int]:
        """As many of the signs as the grade says, so far as there are; those of a grade are among those of the next."""
        order = torch.randperm(len(self.spans), generator=self.rng()).tolist()
        return sorted(order[: min(grade, len(self.spans) if most is None else most)])


class Donors:
    """Signs to take from, N of them, of other clips than the one that is damaged."""

    def __init__(self, motions: Sequence[AnyMotion]):
        self.motions = list(motions)

    def any(self, rng: torch.Generator) -> AnyMotion:
        return self.motions[int(torch.randint(len(self.motions), (), generator=rng))]

    def similar(self, sign: AnyMotion) -> AnyMotion:
        """The sign whose arms are nearest, among the half of them whose hands are farthest."""
        arms, hands = ((kept - of(_moments(sign)).flatten()).square().mean(1) for kept, of in self._seen)
        return self.motions[int(torch.where(hands >= hands.median(), arms, torch.inf).argmin())]

    @cached_property
    def _seen(self) -> list[tuple[Tensor, Callable[[AnyMotion], Tensor]]]:
        """[N, D] of arms and of hands, and what sees them."""
        moments = [_moments(motion) for motion in self.motions]
        return [(torch.stack([of(motion).flatten() for motion in moments]), of) for of in (limbs.arms, limbs.hands)]


def _moments(motion: AnyMotion) -> AnyMotion:
    """Five frames of it."""
    return motion.frames(torch.linspace(0, len(motion) - 1, 5).round().long())


def mean_pose(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """A third, two thirds, all of the way to the mean posture."""
    return blended(motion, material.mean, grade / 3)


def frozen_hands(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Fingers a third, two thirds, all of the way to how the clip holds them in the mean."""
    for side in limbs.SIDES:
        values = limbs.fingers(motion, side)
        motion = limbs.with_fingers(motion, side, values.lerp(values.mean(0, keepdim=True), grade / 3))
    return motion


def wrong_signs(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """One, two, three signs are others."""
    rng = material.rng()
    others = {i: material.donors.any(rng) for i in range(len(material.spans))}
    return _with_signs(motion, material, {i: _as_long(others[i], motion, material, i) for i in material.chosen(grade)})


def swapped_signs(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """The first two signs change places; half of all pairs are in the wrong order; all are."""
    count = len(material.spans)
    pairs = count * (count - 1) // 2
    left = {1: min(1, pairs), 2: (pairs + 1) // 2, 3: pairs}[grade]
    rest, order = list(range(count)), []
    for place in range(count):
        ahead = min(left, count - 1 - place)  # so many signs that belong behind it come before the one in this place
        order.append(rest.pop(ahead))
        left -= ahead
    return _with_signs(motion, material, {i: motion.frames(material.spans[j]) for i, j in enumerate(order) if i != j})


def missing_signs(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """One, two, three signs are left out, one is not."""
    return _with_signs(motion, material, dict.fromkeys(material.chosen(grade, len(material.spans) - 1)))


def similar_handshapes(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """One, two, three signs have the hands of another sign that is made in a similar place."""
    pieces = {}
    for i in material.chosen(grade):
        sign = motion.frames(material.spans[i])
        donor = stretched(material.donors.similar(sign), len(sign))
        for side in limbs.SIDES:
            sign = limbs.with_fingers(sign, side, limbs.fingers(donor, side))
        pieces[i] = sign
    return _with_signs(motion, material, pieces)


def wrong_hand(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """One, two, three signs are made by the other hand, in the mirror."""
    pieces = {}
    for i in material.chosen(grade):
        sign = motion.frames(material.spans[i])
        pieces[i] = limbs.with_limbs(sign, limbs.limbs_of(sign.mirrored()))
    return _with_signs(motion, material, pieces)


def mirrored(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """A third, two thirds, all of the clip in the mirror: in the end what a left-handed signer does."""
    count = round(len(motion) * grade / 3)
    turned = [motion.frames(slice(0, count)).mirrored(), motion.frames(slice(min(count + 4, len(motion)), len(motion)))]
    return joined([piece for piece in turned if len(piece)], 5 / motion.fps)


def no_face(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Head, jaw, eyes and expression a third, two thirds, all of the way to rest."""
    return blended(motion, limbs.at_rest_face(motion), grade / 3)


def slower(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    return motion.at_speed(1 / _SLOWER[grade])


def jitter(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Arms and hands tremble from frame to frame."""
    values = limbs.limbs_of(motion)
    size = _width(motion) / 4 if isinstance(motion, JointMotion) else 1.0
    noise = _JITTER[grade] * size * torch.randn(values.shape, generator=material.rng())
    return limbs.with_limbs(motion, values + noise)


def smoothed(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Everything is a Gaussian mean over time."""
    distance = torch.arange(len(motion)) - torch.arange(len(motion))[:, None]
    weight = torch.softmax(-0.5 * (distance / (_SMOOTH[grade] * motion.fps)).square(), dim=1)
    values = {name: torch.einsum("st,t...->s...", weight, v) for name, v in frame_values(motion).items()}
    return replace(motion, **values)


def cut_off(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    return motion.frames(slice(0, max(round(_KEPT[grade] * len(motion)), 1)))


def another_sentence(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """The last third, the last two thirds, all of the clip are another sentence of the same length."""
    other, start = stretched(material.other, len(motion)), round(len(motion) * (1 - grade / 3))
    other = frame_values(other)
    values = {name: torch.cat([v[:start], other[name][start:]]) for name, v in frame_values(motion).items()}
    return replace(motion, **values)


def another_signer(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Another body, another tempo, and slow sway of the limbs: half, all, twice of what people differ by."""
    rng, much = material.rng(), _OTHER[grade]
    shape, faster = torch.randn(10, generator=rng), bool(torch.rand((), generator=rng) < 0.5)
    share = limbs.carried(motion)  # [L, ways]
    rate, start = (torch.rand(share.shape[1], 3, generator=rng) for _ in range(2))
    time = torch.arange(len(motion))[:, None, None] / motion.fps
    sway = much * _SWAY * _width(motion) * (2 * torch.pi * (time * (0.3 + 0.7 * rate) + start)).sin()  # 0.3 to 1 Hz
    made = limbs.with_limbs(motion, limbs.limbs_of(motion) + torch.einsum("lw,twc->tlc", share, sway))
    if isinstance(made, JointMotion):
        made = replace(made, positions=made.positions * (1 + much * _SIZE))
    else:
        made = replace(made, betas=made.betas + much * _BETAS * shape)
    return made.at_speed((1 + much * _TEMPO) ** (1 if faster else -1))


def wrong_place(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Both arms are raised outwards, so that every sign is made in another place."""
    if isinstance(motion, JointMotion):
        values, shift = limbs.limbs_of(motion).clone(), _RAISED[grade] / 2 * _width(motion)
        values[..., 1] += shift * limbs.carried(motion).sum(1)
        return limbs.with_limbs(motion, values)
    rotations = motion.rotations.clone()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        shoulder = limbs.arm_numbers(motion, side)[0]
        turn = torch.tensor([0.0, 0.0, sign * _RAISED[grade]]).expand(len(motion), 3)
        rotations[:, shoulder] = turned_axis_angle(rotations[:, shoulder], turn)
    return replace(motion, rotations=rotations)


def held_frames(motion: AnyMotion, grade: int, material: Material) -> AnyMotion:
    """Every second, fifth, tenth frame is held until the next such one."""
    step = _HELD[grade]
    return motion.frames(torch.arange(len(motion)) // step * step)


Damage = Callable[[AnyMotion, int, Material], AnyMotion]
KINDS: dict[str, Damage] = {
    "mean pose": mean_pose, "frozen hands": frozen_hands, "wrong signs": wrong_signs, "swapped signs": swapped_signs,
    "missing signs": missing_signs, "similar handshapes": similar_handshapes, "wrong hand": wrong_hand,
    "mirrored": mirrored, "no face": no_face, "slower": slower, "jitter": jitter, "smoothed": smoothed,
    "cut off": cut_off, "another sentence": another_sentence, "another signer": another_signer,
    "wrong place": wrong_place, "held frames": held_frames,
}
OF_ROTATIONS = ("no face",)  # joint positions have no face


def damaged(motion: AnyMotion, kind: str, grade: int, material: Material) -> AnyMotion:
    """A motion with damage of a kind in `KINDS`, at its own rate; the motion itself stays as it is."""
    return replace(KINDS[kind](motion, grade, material), made_by=f"{kind} {grade}")


def _with_signs(motion: AnyMotion, material: Material, pieces: dict[int, AnyMotion | None]) -> AnyMotion:
    chosen = sorted(pieces)
    return with_pieces(motion, [material.spans[i] for i in chosen], [pieces[i] for i in chosen])


def _as_long(sign: AnyMotion, motion: AnyMotion, material: Material, number: int) -> AnyMotion:
    span = material.spans[number]
    return stretched(sign, span.stop - span.start)


def _width(motion: AnyMotion) -> float:
    """What lengths are measured in: the shoulders' distance; of rotations 1, for a radian."""
    return limbs.scale_of(motion) if isinstance(motion, JointMotion) else 1.0
