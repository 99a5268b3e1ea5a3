"""Graded damage: each grade is farther from what was signed than the one before, in a way that is known."""
from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from soke.body import Motion
from soke.body.motion import JointMotion
from soke.body.skeletonise import skeleton_50
from soke.data.synthetic.corpora import plan_corpus
from soke.data.synthetic.known import KnownCorpus
from soke.data.synthetic.skeleton_writer import stand_in
from soke.data.synthetic.vocabularies import ENGLISH
from soke.evaluation.damage import limbs
from soke.evaluation.damage.kinds import GRADES, KINDS, OF_ROTATIONS, Donors, Material, damaged
from soke.evaluation.editing import blended, frame_values, stretched, with_pieces
from soke.evaluation.oracle.reader import Oracle
from soke.metrics.text_scores import WER
from tests.evaluation.test_baselines import at

BY_LENGTH = ("missing signs", "slower", "cut off")


@pytest.fixture(scope="module")
def known() -> KnownCorpus:
    planned = plan_corpus(ENGLISH.with_tail(0), {"train": 4, "val": 1, "test": 1}, 5, named, pool=2000)
    return KnownCorpus(planned, {"size": "own", "seed": 5})


def named(split: str, number: int, take: int, signer: int) -> tuple[str, float]:
    return f"{split}-{number}-{take}", 24.0


@pytest.fixture(scope="module", params=["rotations", "positions"])
def clips(known, request) -> dict[str, Motion | JointMotion]:
    form = partial(skeleton_50, stand_in()) if request.param == "positions" else lambda motion: motion
    return {take.name: form(known.planned.perform(take)) for take in known.planned.takes}


def material(known: KnownCorpus, clips: dict, name: str) -> Material:
    spans = {clip: known.spans(clip, len(motion)) for clip, motion in clips.items()}
    donors = Donors([clips[other].frames(s) for other in clips if other != name for s in spans[other]])
    first = clips[name].frames(slice(0, 1))
    every = {key: torch.cat([frame_values(m)[key] for m in clips.values()]).mean(0, keepdim=True) for key in frame_values(first)}
    other = next(motion for clip, motion in clips.items() if clip != name)
    return Material(spans[name], replace(first, **every), other, donors, seed=3)


def distance(one, other) -> float:
    """Mean over frames and numbers, of the face too; the other is stretched to as many frames."""
    pairs = zip(frame_values(one).values(), frame_values(stretched(other, len(one))).values())
    return sum(float((a - b).abs().sum()) / len(one) for a, b in pairs) + abs(len(one) / len(other) - 1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "swapped signs"])
def test_every_grade_is_worse_than_the_one_before(known, clips, kind):
    """Of a clip's numbers, or of its length; nothing is drawn anew, and the clip stays as it is."""
    name = next(iter(clips))
    motion, of = clips[name], material(known, clips, name)
    if isinstance(motion, JointMotion) and kind in OF_ROTATIONS:
        pytest.skip("joint positions have no face")
    before = {key: value.clone() for key, value in frame_values(motion).items()}
    made = {grade: damaged(motion, kind, grade, of) for grade in GRADES}
    if kind in BY_LENGTH:
        apart = [abs(len(made[grade]) / len(motion) - 1) for grade in GRADES]
    elif kind == "another signer":
        spread = [(made[g].betas - motion.betas).norm() if isinstance(motion, Motion) else limbs.scale_of(made[g]) for g in GRADES]
        apart = [float(s) for s in spread]
    else:
        apart = [distance(motion, made[grade]) for grade in GRADES]
    assert 0 < apart[0] < apart[1] < apart[2], apart
    again = damaged(motion, kind, 2, of)
    assert all(torch.equal(a, b) for a, b in zip(frame_values(again).values(), frame_values(made[2]).values()))
    assert all(torch.equal(before[key], value) for key, value in frame_values(motion).items())
    assert all(torch.isfinite(v).all() for m in made.values() for v in frame_values(m).values())
    assert made[1].made_by == f"{kind} 1" and all(m.fps == motion.fps for m in made.values())


def test_highest_grades_are_what_they_are_called(known, clips):
    name = next(iter(clips))
    motion, of = clips[name], material(known, clips, name)
    assert_same(damaged(motion, "mirrored", 3, of), motion.mirrored())
    assert_same(damaged(motion, "another sentence", 3, of), stretched(of.other, len(motion)))
    frozen = limbs.hands(damaged(motion, "frozen hands", 3, of))
    assert torch.allclose(frozen, limbs.hands(motion).mean(0).expand_as(frozen), atol=1e-5)
    still = damaged(motion, "mean pose", 3, of)
    assert torch.allclose(limbs.limbs_of(still), limbs.limbs_of(of.mean).expand(len(motion), -1, -1), atol=1e-4)
    held = damaged(motion, "held frames", 1, of)
    assert_same(held.frames(slice(1, None, 2)), motion.frames(slice(0, len(motion) // 2 * 2, 2)))
    assert len(damaged(motion, "cut off", 3, of)) == round(0.35 * len(motion))
    noise = limbs.limbs_of(damaged(motion, "jitter", 3, of)) - limbs.limbs_of(motion)
    width = limbs.scale_of(motion) / 4 if isinstance(motion, JointMotion) else 1
    assert float(noise.std()) == pytest.approx(0.18 * width, rel=0.05)
    if isinstance(motion, Motion):
        bare = damaged(motion, "no face", 3, of)
        assert not bare.expression.any() and torch.allclose(limbs.limbs_of(bare), limbs.limbs_of(motion), atol=1e-5)


def assert_same(one, other) -> None:
    for first, second in zip(frame_values(one).values(), frame_values(other).values(), strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_the_oracle_finds_as_many_wrong_signs_as_there_are(known, clips):
    """Replaced or left out: one, two, three; all in the reverse order; with another hand's shape."""
    oracle = Oracle(known)
    name = next(take.name for take in known.planned.takes if len(take.sentence.words) == 4)
    motion, of = clips[name], material(known, clips, name)

    def errors(kind: str, grade: int) -> float:
        metric = WER(level="word")
        metric.update_tokens(name, *oracle.compared(damaged(motion, kind, grade, of), name))
        return metric.scores()[0].values["percent"] / 25

    for kind in ("wrong signs", "missing signs", "similar handshapes"):
        assert [errors(kind, grade) for grade in GRADES] == [1, 2, 3], kind
    for grade, order in ((1, [1, 0, 2, 3]), (2, [3, 0, 1, 2]), (3, [3, 2, 1, 0])):  # of six pairs one, three, all
        found, wanted = oracle.compared(damaged(motion, "swapped signs", grade, of), name)
        assert found == [wanted[i] for i in order]
    assert errors("slower", 3) == errors("mirrored", 3) == errors("another signer", 3) == 0


def test_another_hand_leaves_the_arms(known, clips):
    name = next(iter(clips))
    motion, of = clips[name], material(known, clips, name)
    (sign,) = of.chosen(1)
    made = damaged(motion, "similar handshapes", 1, of).frames(of.spans[sign])
    assert torch.allclose(limbs.arms(made), limbs.arms(motion.frames(of.spans[sign])), atol=1e-5)
    assert (limbs.hands(made) - limbs.hands(motion.frames(of.spans[sign]))).abs().max() > 0.3 * (
        limbs.scale_of(motion) / 3 if isinstance(motion, JointMotion) else 1
    )


def test_pieces_take_the_place_of_spans():
    motion = at(*range(12))
    made = with_pieces(motion, [slice(3, 5), slice(8, 9)], [at(100.0, 100.0), None], ease=1)
    heights = made.positions[:, 0, 1].tolist()
    assert heights == [0, 1, 50.5, 100, 100, 53, 6, 8, 10, 11]  # 5 and 2 are on the way, 7 and 9 are left out
    assert with_pieces(motion, [], []).positions.tolist() == motion.positions.tolist()
    assert with_pieces(motion, [slice(0, 12)], [None]).positions.tolist() == motion.positions.tolist()


def test_blends_and_stretches():
    assert blended(at(0, 4), at(8.0), 0.25).positions[:, 0, 1].tolist() == [2, 5]
    assert stretched(at(0, 1, 2, 3), 8).positions[:, 0, 1].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    first, second = Motion.rest(1, 20.0), Motion.rest(1, 20.0)
    second.rotations[:, 16, 1] = 1.0
    assert blended(first, second, 0.5).rotations[0, 16].tolist() == pytest.approx([0, 0.5, 0])


def test_similar_signs_have_other_hands(known, clips):
    """The nearest arms of the half whose hands are farthest, by loops."""
    name = next(iter(clips))
    of = material(known, clips, name)
    sign = clips[name].frames(of.spans[0])

    def moments(motion):
        return motion.frames(torch.linspace(0, len(motion) - 1, 5).round().long())

    arms, hands = (
        np.array([float((see(moments(d)) - see(moments(sign))).square().mean()) for d in of.donors.motions])
        for see in (limbs.arms, limbs.hands)
    )
    far = [i for i in range(len(hands)) if hands[i] >= np.sort(hands)[(len(hands) - 1) // 2]]
    assert of.donors.similar(sign) is of.donors.motions[min(far, key=lambda i: arms[i])]
