"""What samples are worth: each reward by its definition, the signer's own signing worth most."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soke.data.clip import ClipError, SkippedClip
from soke.generator.policy import rewards
from soke.generator.policy.rewards import Attempts, Reference, rewards_of
from soke.metrics.dtw import dtw_jpe
from soke.metrics.joint_sets import Track, track_of, weights_of
from tests.evaluation.helpers import Corpus
from tests.generator.policy.helpers import make_learner, make_producer


class Torn(Corpus):
    def load(self, clip):
        if clip.name == "c1":
            raise ClipError("torn")
        return super().load(clip)


@pytest.fixture(scope="module")
def learner(body):
    return make_learner(body, corpus=Torn(5))


@pytest.fixture(scope="module")
def attempts(learner) -> Attempts:
    """Codes of different lengths for three clips."""
    corpus = Torn(5)
    references = [learner.references.of(corpus.clips("train")[i]) for i in (0, 2, 4)]
    codes = [torch.randint(0, 12, (length, 3), generator=torch.Generator().manual_seed(length)) for length in (2, 4, 9)]
    return Attempts(codes, references, learner.producer, learner.points, {})


def test_dtw_is_the_published_score_per_frame_of_the_reference(attempts, learner, body):
    found = rewards.dtw(attempts)
    for value, codes, reference in zip(found, attempts.codes, attempts.references):
        made = learner.producer.tokenizer.decode_motion(codes, 24.0)
        signed = learner.producer.layout.covered(learner.references.datasets["train"][int(reference.clip.name[1:])].motion)
        tracks = [track_of(body, motion, face=False).points for motion in (made, signed)]
        weights, total = weights_of(body.point_sets), 0.0
        for name, weight in weights.items():
            pred, ref = (of[name].numpy() for of in tracks)
            total += weight / 54 * dtw_jpe(pred, ref, "root", body.point_sets[name].scored).cost
        assert value == pytest.approx(-total / len(signed), rel=1e-5)


def test_motions_are_tracked_together_as_one_by_one(learner, attempts, body):
    for track, motion in zip(attempts.tracks, attempts.motions):
        alone = track_of(body, motion, face=False).points
        for name, of in body.point_sets.items():
            wanted = alone[name][:, [0, *(j for j in of.scored if j)]]
            torch.testing.assert_close(track.points[name], wanted, atol=1e-6, rtol=0)


def test_references_are_found_once_and_unusable_clips_are_named(body, monkeypatch):
    learner, loaded = make_learner(body, corpus=Torn(3)), []
    references = learner.references
    original = references.points.of
    monkeypatch.setattr(references.points, "of", lambda motions: loaded.append(1) or original(motions))
    clips = Torn(3).clips("train")
    assert references.of(clips[0]) is references.of(clips[0]) and len(loaded) == 1
    torn = references.of(clips[1])
    assert isinstance(torn, SkippedClip) and torn.reason == "torn"
    monkeypatch.setattr(rewards, "_REMEMBERED", 10)
    references.of(clips[2])
    references.of(clips[0])
    assert len(loaded) == 3  # it had to be forgotten


def attempts_of(codes, wanted, tracks=None) -> SimpleNamespace:
    references = [Reference(None, None, torch.tensor(of)) for of in wanted]
    return SimpleNamespace(codes=[torch.tensor(of) for of in codes], references=references)


def test_codes_are_a_clipped_precision_with_brevity_penalty():
    right = [[1, 5], [2, 5], [3, 6]]
    found = rewards.codes(attempts_of([right, [[3, 5], [1, 6], [2, 5]], [[1, 6], [1, 6], [1, 6]], [[1, 5]]], [right] * 4))
    assert found == pytest.approx([1.0, 1.0, 2 / 6, math.exp(-2)])
    assert rewards.codes(attempts_of([[[5, 1]] * 3], [right])) == [0.0]  # a code is one of its stream


def of_track(positions: np.ndarray, fps: float) -> Track:
    """A set of a root that stands still and one point."""
    points = np.zeros((len(positions), 2, 3))
    points[:, 1, 0] = positions
    return Track({"body": points}, fps)


def test_length_and_smoothness():
    time = np.arange(20)
    reference, same = of_track(0.5 * time**2, 10.0), of_track(0.5 * time[:10] ** 2, 10.0)
    jerky, still = of_track(0.625 * time**2, 10.0), of_track(0 * time, 10.0)
    wild = of_track(9 * time**2, 10.0)
    points = SimpleNamespace(weights={"body": 1.0}, joints={"body": SimpleNamespace(scored=(1,))})
    pairs = [(made, reference) for made in (same, jerky, still, wild)]
    attempts = SimpleNamespace(pairs=pairs, points=points)
    assert rewards.length(attempts) == [0.5, 1.0, 1.0, 1.0]
    assert rewards.smoothness(attempts) == pytest.approx([0.0, -0.25, 0.0, -1.0])


def test_bleu_is_of_what_the_corpus_s_reader_reads():
    sentence = "the sun shines in the morning"
    clips = [SimpleNamespace(corpus="a", text=sentence)] * 3
    reader = SimpleNamespace(targets=SimpleNamespace(level="word"))
    attempts = SimpleNamespace(
        texts=[sentence, "the sun shines", "rain"], references=[Reference(clip, None, None) for clip in clips],
        readers={"a": reader},
    )
    assert rewards.bleu(attempts) == pytest.approx([1.0, math.exp(-1), 0.0])


def test_readers_are_asked_for_their_own_corpora(attempts):
    reader = SimpleNamespace(translate=lambda motions: [f"read {len(m)}" for m in motions])
    read = Attempts(attempts.codes, attempts.references, attempts.producer, attempts.points, {"own": reader})
    assert read.texts == ["read 8", "read 16", "read 36"]


def test_the_sum_is_weighted_and_only_what_counts_is_computed(attempts):
    found = rewards_of(attempts, {"dtw": 2.0, "length": 0.5})
    assert list(found) == ["reward", "reward_dtw", "reward_length"]
    torch.testing.assert_close(found["reward"], 2 * found["reward_dtw"] + 0.5 * found["reward_length"])
    nothing = Attempts(attempts.codes, attempts.references, make_producer(), attempts.points, {})
    rewards_of(nothing, {"codes": 1.0})
    assert "motions" not in vars(nothing)
