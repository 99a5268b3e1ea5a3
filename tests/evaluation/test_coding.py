"""Codes of motions are compared by whichever tokenizer is named, for every row, in blocks, at the corpus's rate."""
from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from soke.body.joints import JOINT_GROUPS
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion
from soke.evaluation.rows import generation
from tests.evaluation.helpers import Corpus, MeanPose, setting

PARTS = MotionLayout([
    PartSpec("body", JOINT_GROUPS["upper_body"]), PartSpec("left", JOINT_GROUPS["left_hand"]),
    PartSpec("right", JOINT_GROUPS["right_hand"]),
])


class Coder:
    """A code of every 4 frames, in each stream: whether the elbow is turned up; the second one of the body is always 0."""

    hash, layout = "0123456789ab", PARTS
    streams = {"body.0": 2, "body.1": 2, "left": 2, "right": 2}

    def __init__(self):
        self.batches: list[list[int]] = []

    def encode_motions(self, motions: Sequence[Motion]) -> list[torch.Tensor]:
        self.batches.append([len(motion) for motion in motions])
        up = [(motion.rotations[3::4, 18, 0] > 0.2).long() for motion in motions]
        return [torch.stack([of, 0 * of, of, of], dim=1) for of in up]


def test_every_row_is_encoded(body) -> None:
    """The mean pose has its elbow up in 5 steps; what of the reference is up is known."""
    corpus, producer, coder = Corpus(5, (24.0, 12.0)), MeanPose(PARTS), Coder()
    evaluation = generation(producer, setting(body, [corpus], batch_size=3, coder=coder, limits=(8, 60)))
    found = {(c.row, c.metric[1]): c.score for c in evaluation.table.cells if c.metric[0] == "SiBLEU"}
    rows = {"mean pose", "mean pose, shuffled"}
    assert set(found) == {(row, part) for row in rows for part in ("body", "left", "right", "hand")}
    references = [corpus.load(clip).resampled(24.0) for clip in corpus.clips("test")]
    up = [(PARTS.covered(m).rotations[3::4, 18, 0] > 0.2).long() for m in references]
    common = sum(min(5, int(of.sum())) for of in up)
    wanted, made = sum(map(len, up)), 25
    brevity = float(torch.tensor(min(0.0, 1 - wanted / made)).exp())
    assert found["mean pose", "left"].values["percent"] == pytest.approx(100 * common / made * brevity)
    assert 0 < common < made and found["mean pose", "left"].signature.tokenizer == coder.hash
    assert found["mean pose", "hand"].values == found["mean pose", "left"].values
    assert found["mean pose", "body"].values["percent"] > found["mean pose", "left"].values["percent"]
    assert sorted(map(len, coder.batches)) == [2] * 3 + [3] * 3  # references, and two rows, in two blocks
    clips = {(c["row"], c["clip"]): c for c in evaluation.clips}
    alone = min(5, int(up[0].sum())) / 5 * float(torch.tensor(min(0.0, 1 - len(up[0]) / 5)).exp())
    assert clips["mean pose", "c0"]["SiBLEU left percent"] == pytest.approx(100 * alone)


def test_clips_without_scores_have_no_codes(body) -> None:
    """One motion is NaN; one reference is shorter than a step. Neither stops the others."""
    class Faulty(MeanPose):
        def produce(self, sentences):
            motions = super().produce(sentences)
            bad = Motion.rest(20, 24.0)
            bad.rotations[:] = float("nan")
            return [bad if s.name == "c4" else m for s, m in zip(sentences, motions)]

    corpus = Corpus(5)
    corpus.load = lambda clip, load=corpus.load: load(clip).frames(slice(3)) if clip.name == "c2" else load(clip)
    evaluation = generation(Faulty(PARTS), setting(body, [corpus], coder=Coder(), limits=(1, 60)))
    assert {key[1:]: reason for key, reason in evaluation.unscored.items() if key[2] == "codes"} == {
        ("c2", "codes"): "its reference is shorter than a step of the tokenizer whose codes SiBLEU counts"
    }
    scored = 5 - len({name for _, name, _ in evaluation.unscored})  # c4's motion is also another sentence's, shuffled
    assert scored >= 2
    assert [c.score.clips for c in evaluation.table.cells if c.metric == ("SiBLEU", "body")] == [scored, scored]


def test_references_without_codes_leave_the_other_scores(body) -> None:
    """All of them are shorter than a step: there is no SiBLEU."""
    corpus = Corpus(2)
    corpus.load = lambda clip, load=corpus.load: load(clip).frames(slice(3))
    evaluation = generation(MeanPose(PARTS), setting(body, [corpus], coder=Coder(), limits=(1, 60)))
    assert "SiBLEU" not in {c.metric[0] for c in evaluation.table.cells} and evaluation.table.cells
    assert {name for _, name, kind in evaluation.unscored if kind == "codes"} == {"c0", "c1"}


def test_no_coder_no_codes(body) -> None:
    evaluation = generation(MeanPose(PARTS), setting(body, [Corpus(2)]))
    assert "SiBLEU" not in {c.metric[0] for c in evaluation.table.cells}
