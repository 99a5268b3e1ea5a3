"""How well motions fit their sentences, and Fréchet distances, in a test's tables: right values, two processes, bad clips."""
from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy import linalg

from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import Clip
from soke.embedding.autoencoder import MotionAutoencoder, Seen
from soke.embedding.scoring import HALVES, MEAN, MODEL, reconstruction
from soke.embedding.settings import MotionAutoencoderSettings
from soke.errors import UserError
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import GROUND_TRUTH
from soke.evaluation.rows import generation
from soke.metrics.chunks import chunks_of, joints_of
from soke.metrics.joint_sets import track_of
from soke.run.processes import World
from tests.data.writing import LAYOUT
from tests.embedding.helpers import BODY, POSITIONS
from tests.evaluation.helpers import Corpus, setting
from tests.worlds import together

CLIPS = 6


class ByLength:
    """Knows the motion of each sentence by its length; others are alike."""

    language, hash = "ASL", "0123456789ab"

    def embed_motions(self, motions: Sequence[Motion]) -> torch.Tensor:
        numbers = [(len(motion) - 9) / 4 for motion in motions]
        return torch.stack([self._vector(int(n)) if n % 1 == 0 and n < CLIPS else self._vector(CLIPS) for n in numbers])

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.stack([self._vector(int(text.split()[-1])) for text in texts])

    def _vector(self, number: int) -> torch.Tensor:
        return torch.eye(CLIPS + 1)[number]


class Positions(Corpus):
    """Random walks of 50 joints."""

    def load(self, clip: Clip) -> JointMotion:
        number = int(clip.name[1:])
        random = torch.Generator().manual_seed(number)
        walk = 0.2 * torch.randn(9 + 4 * number, 50, 3, generator=random).cumsum(0)
        return JointMotion(walk, SKELETON_50, 24.0)


class Signer:
    """Signs what was signed, but for clips whose motion is no number; scaled motion swings less."""

    name = "generated"

    def __init__(self, corpus: Corpus, layout: MotionLayout = POSITIONS, broken: tuple[str, ...] = (), scale: float = 1.0):
        self.corpus, self.broken, self.scale = corpus, broken, scale
        self.layout, self.conditions = layout, {"layout": layout.hash}

    def produce(self, clips: Sequence[Clip]) -> list[Motion | JointMotion]:
        motions = []
        for clip in clips:
            motion = self.layout.covered(self.corpus.load(clip))
            field = "rotations" if isinstance(motion, Motion) else "positions"
            factor = np.nan if clip.name in self.broken else self.scale
            motions.append(replace(motion, **{field: getattr(motion, field) * factor}))
        return motions


class Still(Signer):
    """One posture, whatever the sentence."""

    name = "mean pose"

    def __init__(self):
        super().__init__(Positions(CLIPS))

    def produce(self, clips: Sequence[Clip]) -> list[JointMotion]:
        pose = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
        return [JointMotion(pose.repeat(20, 1, 1), SKELETON_50, 24.0)] * len(clips)


def autoencoder(body: Posed, layout: MotionLayout = POSITIONS, dimension: int = 3) -> MotionAutoencoder:
    """With random weights."""
    torch.manual_seed(0)
    seen = Seen.of(body, layout)
    facts = {"corpora": ["own"], "training_clips": 1, "layout_hash": layout.hash, "form_of_frames": "soke"}
    blank, settings = torch.zeros(3 * seen.count), MotionAutoencoderSettings(chunk=8, fps=20.0, width=8, dimension=dimension)
    return MotionAutoencoder.untrained(seen, blank, blank + 0.1, settings, facts)


def values_of(evaluation: Evaluation) -> dict[tuple[str, str, str], float]:
    """Row, metric and part -> the first value."""
    return {(c.row, *c.metric): next(iter(c.score.values.values())) for c in evaluation.table.cells}


def test_generated_motion_is_found_by_its_sentence_and_shuffled_motion_is_not():
    corpus = Positions(CLIPS)
    evaluation = generation(Signer(corpus), setting(BODY, [corpus], retrievers={"own": ByLength()}))
    found = values_of(evaluation)
    for direction in ("text→motion", "motion→text"):
        for row, wanted in ((GROUND_TRUTH, 100.0), ("generated", 100.0), ("generated, shuffled", 0.0)):
            assert found[row, "R@1", direction] == wanted
    assert found["generated", "similarity", "to its sentence"] == found["generated", "similarity", "to the signer's"] == 1
    assert found["generated, shuffled", "similarity", "to its sentence"] == 0
    (cell,) = (c for c in evaluation.table.cells if (c.row, *c.metric) == ("generated", "R@1", "text→motion"))
    assert cell.score.signature.judge == ByLength.hash and cell.score.signature.candidates == CLIPS
    entries = {(e["row"], e["clip"]): e for e in evaluation.clips}
    assert entries["generated", "c2"]["R@1 text→motion percent"] == 100 and "DTW-JPE body m" in entries["generated", "c2"]
    assert entries[GROUND_TRUTH, "c2"]["similarity to its sentence cosine"] == 1


def test_they_end_up_on_the_screen_where_there_are_such_models():
    corpus = Positions(3)
    for more, there in ({"retrievers": {"own": ByLength()}, "frechet": autoencoder(BODY)}, True), ({}, False):
        evaluation = generation(Signer(corpus), setting(BODY, [corpus], **more))
        stream = io.StringIO()
        evaluation.table.print_summary(evaluation.summary, Console(file=stream))
        for column in ("text→motion", "motion→text", "to its sentence", "latents"):
            assert (column in stream.getvalue()) == there


def test_a_still_pose_is_found_by_no_sentence():
    corpus = Positions(CLIPS)
    found = values_of(generation(Still(), setting(BODY, [corpus], retrievers={"own": ByLength()})))
    assert found["mean pose", "R@1", "text→motion"] == found["mean pose", "R@5", "motion→text"] == 0
    assert found["mean pose", "median rank", "text→motion"] == CLIPS


def test_clips_that_cannot_be_scored_are_left_out_of_every_row():
    corpus = Positions(CLIPS)
    more = {"retrievers": {"own": ByLength()}, "frechet": autoencoder(BODY)}
    evaluation = generation(Signer(corpus, broken=("c3",)), setting(BODY, [corpus], **more))
    assert {c.score.clips for c in evaluation.table.cells if c.score.signature.judge} == {CLIPS - 2}  # and its partner
    assert values_of(evaluation)["generated", "R@1", "text→motion"] == 100

    class Blind(ByLength):
        def embed_motions(self, motions):
            embedded = super().embed_motions(motions)
            return torch.where(torch.tensor([len(m) == 9 + 4 for m in motions])[:, None], torch.nan, embedded)

    evaluation = generation(Signer(corpus), setting(BODY, [corpus], retrievers={"own": Blind()}))
    told = {clip: why for (_, clip, row), why in evaluation.unscored.items() if row == "retrieval"}
    assert "c1" in told and len(told) == 2 and "no number" in told["c1"]
    assert evaluation.gather(World()).table.notes


def test_a_test_on_training_clips_says_so():
    corpus, more = Positions(3), {"retrievers": {"own": ByLength()}, "frechet": autoencoder(BODY)}
    for split, told in (("train", 2), ("test", 0)):
        notes = generation(Signer(corpus), setting(BODY, [corpus], split=split, **more)).table.notes
        assert sum("trained on clips of split train" in note for note in notes) == told


def test_the_retriever_of_another_language_is_refused():
    other = ByLength()
    other.language = "DGS"
    with pytest.raises(ValueError, match="the retrieval model of own, which is ASL, reads DGS"):
        generation(Signer(Positions(2)), setting(BODY, [Positions(2)], retrievers={"own": other}))


def test_frechet_distances_against_numpy(body):
    """Of the same motion none; of a slower swing that of the means and covariances of all chunks, and of all poses."""
    corpus, encoder = Corpus(CLIPS), autoencoder(body, LAYOUT)
    evaluation = generation(Signer(corpus, LAYOUT, scale=0.5), setting(body, [corpus], frechet=encoder))
    found = values_of(evaluation)
    same = values_of(generation(Signer(corpus, LAYOUT), setting(body, [corpus], frechet=encoder)))
    assert same["generated", "Fréchet distance", "latents"] == pytest.approx(0, abs=1e-9)
    assert same["generated", "Fréchet distance", "poses"] == pytest.approx(0, abs=1e-6)
    assert found["generated, shuffled", "Fréchet distance", "latents"] == pytest.approx(
        found["generated", "Fréchet distance", "latents"]
    )  # it sees what is signed, not of which sentence
    frames = []
    for scale in (0.5, 1.0):
        motions = [m.resampled(24.0) for m in Signer(corpus, LAYOUT, scale=scale).produce(corpus.clips("test"))]
        frames.append([joints_of(track_of(body, m, face=False), body.point_sets, 20.0) for m in motions])
    features = [np.concatenate([encoder.encode(chunks_of(f, 8)) for f in side]) for side in frames]
    covariances = [np.cov(side, rowvar=False) for side in features]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((features[0].mean(0) - features[1].mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    assert found["generated", "Fréchet distance", "latents"] == pytest.approx(expected, rel=1e-5)
    cells = {c.metric[1]: c.score for c in evaluation.table.cells if c.row == "generated" and c.metric[0][0] == "F"}
    latents, poses = cells["latents"].signature, cells["poses"].signature
    assert (latents.judge, latents.chunk, latents.fps, latents.units) == (encoder.hash, 8, 20.0, ("latent²",))
    assert (poses.judge, poses.chunk, poses.fps, poses.units, poses.joints) == (None, None, 20.0, ("cm²",), "54of186")
    assert not cells["latents"].intervals and not cells["latents"].higher_is_better


def test_too_few_chunks_and_clips_without_one_are_told():
    corpus = Positions(3)
    corpus.load = lambda clip, load=corpus.load: load(clip).frames(slice(0, 8 if clip.name == "c1" else None))
    encoder = autoencoder(BODY, dimension=40)
    evaluation = generation(Signer(corpus), setting(BODY, [corpus], frechet=encoder))
    notes = "\n".join(evaluation.table.notes)
    assert "own: Fréchet distance of latents: too few for a covariance of 40 numbers (references: 3, generated: 3," in notes
    assert "of 3 clips those are left out that are shorter than a chunk of 8 frames at 20 frames/s (references: 1," in notes
    assert ("generated", "Fréchet distance", "latents") in values_of(evaluation)
    corpus.load = lambda clip, load=Positions(3).load: load(clip).frames(slice(0, 8))
    evaluation = generation(Signer(corpus), setting(BODY, [corpus], frechet=encoder))
    assert ("generated", "Fréchet distance", "latents") not in values_of(evaluation)
    assert ("generated", "Fréchet distance", "poses") in values_of(evaluation)
    assert "of fewer than two there is none" in "\n".join(evaluation.table.notes)


def test_what_an_auto_encoder_keeps_is_tested_beside_a_mean_pose_and_halves_of_the_signers():
    """A single clip has no other half, and one that is no longer than a chunk nothing to be kept of."""
    encoder = autoencoder(BODY)
    for clips, halves in ((CLIPS, True), (1, False)):
        evaluation = reconstruction(encoder, POSITIONS, setting(BODY, [Positions(clips)]))
        found = values_of(evaluation)
        assert ((HALVES, "Fréchet distance", "latents") in found) == halves
        motion = POSITIONS.covered(Positions(1).load(Positions(1).clips("test")[0]))
        chunks = encoder.chunks(BODY, motion)
        error = 1000 * (encoder.model.mean - chunks).unflatten(2, (-1, 3)).norm(dim=3).mean().item()
        entries = {(e["row"], e["clip"]): e["reconstruction error chunks mm"] for e in evaluation.clips}
        assert entries[MEAN, "c0"] == pytest.approx(error) and (MODEL, "c0") in entries
    corpus = Positions(1)
    corpus.load = lambda clip, load=corpus.load: load(clip).frames(slice(0, 8))
    with pytest.raises(UserError, match="no clip of own is as long as a chunk, 8 frames at 20 frames/s"):
        reconstruction(encoder, POSITIONS, setting(BODY, [corpus]))


def test_two_processes_give_the_numbers_of_one():
    corpus, encoder = Positions(CLIPS), autoencoder(BODY)
    found: list[tuple[dict, dict]] = []

    def run(world: World) -> None:
        more = {"retrievers": {"own": ByLength()}, "frechet": encoder, "batch_size": 2, "world": world}
        evaluation = generation(Signer(corpus, scale=0.5), setting(BODY, [corpus], **more))
        frechet = {key: value for key, value in values_of(evaluation).items() if key[1] == "Fréchet distance"}
        ranks = {
            (e["row"], e["clip"]): {k: v for k, v in e.items() if k.startswith(("R@", "median", "similarity"))}
            for e in evaluation.clips
        }
        found.append((frechet, ranks))

    run(World())
    assert together(run, 2) == []
    alone, *both = found
    assert both[0][0] == both[1][0] == alone[0] and len(alone[0]) == 4
    assert both[0][1] | both[1][1] == alone[1] and min(map(len, both[0][1].values())) >= 10
