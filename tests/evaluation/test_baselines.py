"""Cheap baselines: what each signs for a sentence, in both forms of motion, and what they count."""
from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.body import Motion
from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion
from soke.body.skeletonise import BodySkeleton, skeleton_50
from soke.build.baselines import floors_of
from soke.build.data import corpora_of
from soke.data.clip import Clip, ClipError
from soke.data.corpora.lexicon import Lexicon
from soke.data.dataset import MotionDataset
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from soke.evaluation.baselines.dictionary import Dictionary, core_of
from soke.evaluation.baselines.glossing import _ROUNDS, GlossPredictor, _aligned
from soke.evaluation.baselines.nearest import NearestSentence, TextSimilarity
from soke.evaluation.baselines.stitching import Stitching
from soke.evaluation.editing import joined
from soke.evaluation.protocols import Typed
from soke.evaluation.rows import generation
from soke.evaluation.settings import BASELINES
from soke.metrics.text_scores import ChrF
from soke.run.config import load_config
from tests.data.writing import LAYOUT
from tests.evaluation.helpers import Corpus, MeanPose, setting
from tests.worlds import together

FPS = 20.0  # frames/s, a transition of 0.2 s has 3 frames between its ends


def at(*heights: float, fps: float = FPS) -> JointMotion:
    """A joint that is so high in each frame."""
    positions = torch.zeros(len(heights), 1, 3)
    positions[:, 0, 1] = torch.tensor(heights)
    return JointMotion(positions, ("wrist",), fps)


def test_signs_are_joined_in_a_straight_line_and_keep_their_frames():
    made = joined([at(0, 1, 2), at(6, 5), at(5, 5)], 0.2)
    assert made.positions[:, 0, 1].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 5, 5, 5, 5, 5]
    assert joined([at(0, 1, 2)], 0.2).positions.tolist() == at(0, 1, 2).positions.tolist()


def test_rotations_are_joined_by_slerp_on_the_shorter_way():
    """From 170 to -170 degrees about x: 20 degrees through 180, a quarter of them each frame."""
    first, second = Motion.rest(2, FPS), Motion.rest(1, FPS)
    first.rotations[:, 20, 0], second.rotations[:, 20, 0] = math.radians(170), math.radians(-170)
    second = replace(second, expression=torch.ones(1, 10))
    made = joined([first, second], 0.2)
    degrees = torch.rad2deg(made.rotations[:, 20, 0]) % 360
    assert torch.allclose(degrees, torch.tensor([170, 170, 175, 180, 185, 190.0]), atol=1e-3)
    assert made.expression[:, 0].tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
    assert not made.rotations[:, :20].any() and made.fps == FPS


def test_a_sign_begins_half_way_from_the_first_posture_and_ends_half_way_to_the_last():
    assert core_of(at(0, 0, 1, 4, 8, 6, 4, 2, 2)) == slice(3, 6)  # 8 from the first, 6 from the last at the most
    assert core_of(at(3, 3, 3)) == slice(0, 3)
    assert core_of(at(0, 1)) == slice(0, 2)  # as a segment would be: there is nothing between


class Signs(Lexicon):
    """Signs of ASL, the n-th as high as 8 n + 8 in its middle; what is called torn cannot be read."""

    def __init__(self, *words: str):
        self.words = words

    def clips(self, split):
        return [Clip(f"s{i}", "lexicon", "train", "ASL", w, Path("nowhere"), FPS) for i, w in enumerate(self.words)]

    def load(self, clip):
        if clip.text == "torn":
            raise ClipError("torn")
        height = 8.0 * int(clip.name[1:]) + 8
        return at(0, 0, height, height, 0)

    def segment(self, clip):
        return None


ONE = MotionLayout([PartSpec("all", ("wrist",), rotation="position")])


class Still:
    name, layout, conditions = "mean pose", ONE, {}

    def produce(self, sentences):
        return [at(-1.0, -1.0)] * len(sentences)


def stitching(signs: Lexicon, order=None) -> Stitching:
    dictionary = Dictionary(signs, "ASL", FPS, ONE, "en_XX")
    return Stitching("stitched", dictionary, order or (lambda s: dictionary.in_order(s.text)), {}, Still())


def heights(motion: JointMotion) -> list[float]:
    return motion.positions[:, 0, 1].tolist()


def test_signs_are_stitched_in_the_order_of_the_words():
    """The first begins with the way from the waiting posture, the last ends with the way back."""
    made = stitching(Signs("dog", "sees", "cat"))
    motion, again, nothing, torn = made.produce([
        Typed("A cat sees the dog", "ASL"), Typed("dog dog!", "ASL"), Typed("Nobody", "ASL"), Typed("Dogs.", "ASL"),
    ])
    assert heights(motion) == [0, 0, 24, 24, 22, 20, 18, 16, 16, 14, 12, 10, 8, 8, 0]
    assert motion.made_by == "stitched" and heights(again) == [0, 0, 8, 8, 8, 8, 8, 8, 8, 0]
    assert heights(nothing) == [-1, -1] and heights(torn) == [0, 0, 8, 8, 0]
    assert made.counts == {
        "words": 9, "words that the lexicon lacks": 3, "words whose sign cannot be used": 0, "sentences": 4,
        "sentences without any sign, for which the mean pose stands": 1,
    }


def test_another_recording_stands_for_one_that_cannot_be_read():
    made = stitching(Signs("torn", "dog"))
    (motion,) = made.produce([Typed("torn dog", "ASL")])
    assert heights(motion) == [0, 0, 16, 16, 0] and made.counts["words whose sign cannot be used"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_similarities_are_those_of_the_metric(seed):
    """Against chrF as it is scored, a pair at a time."""
    random = np.random.default_rng(seed)
    texts, asked = (
        ["".join(random.choice(list("abAB "), size=n)) for n in lengths] for lengths in ((1, 9, 30, 4), (12, 1, 3))
    )
    asked = [text if text.strip() else "b" for text in asked]
    found = TextSimilarity(texts).of(asked)
    for i, reference in enumerate(asked):
        metric = ChrF(level="word")
        for j, hypothesis in enumerate(texts):
            metric.update(str(j), hypothesis, reference)
        per_clip = metric.per_clip()
        scores = np.stack([np.atleast_1d(per_clip[str(j)]) for j in range(len(texts))])
        assert found[i] * 100 == pytest.approx(scores[:, 0].tolist(), abs=1e-4)


class Training(Corpus):
    """Sentences to look up; the clip of "torn" cannot be read."""

    texts = ("it rains", "torn", "the sun shines", "The Sun shines", "it rains today")

    def clips(self, split):
        return [Clip(f"c{i}", "own", split, "ASL", t, Path("nowhere"), FPS) for i, t in enumerate(self.texts)]

    def load(self, clip):
        if clip.text == "torn":
            raise ClipError("clip torn: it is torn")
        return super().load(clip)


def test_the_nearest_sentence_is_signed_as_the_signer_did():
    corpus = Training(5)
    made = NearestSentence(MotionDataset([corpus], "train", LAYOUT, 8, 40, 1), LAYOUT, {})
    asked = [Typed("it rains today!", "ASL"), Typed("the sun shines", "ASL"), Typed("torn", "ASL"),
             corpus.clips("train")[4], corpus.clips("test")[4]]
    found = [len(motion) for motion in made.produce(asked)]
    lengths = [len(corpus.load(clip)) for clip in corpus.clips("train") if clip.text != "torn"]
    assert found[:2] == [lengths[3], lengths[1]]  # of equals the first
    assert found[2] in lengths and found[3] == lengths[0]  # never itself,
    assert found[4] == lengths[3]  # which a clip of the same name in another split is not
    assert made.counts["sentences"] == 5 and made.counts["times that the nearest one cannot be read, and the next is taken"] == 1
    assert made.counts["sentences with several nearest ones, of which the first is taken"] == 1


# ------------------------------------------------------------------------------------------------ text to glosses

VERBS, NOUNS = ("eats", "sees", "has"), ("dog", "cat", "bird", "fish")
PAIRS = [
    (["the", s, v, "the", o], [s.upper(), o.upper(), v.upper()])
    for s in NOUNS for v in VERBS for o in NOUNS if s != o and (s, v) != ("dog", "eats")
]


def test_glosses_are_learnt_and_put_into_order():
    """A language that puts the verb last and has no article."""
    model = GlossPredictor.of(PAIRS)
    assert model.predict(["the", "dog", "eats", "the", "fish"]) == ["DOG", "FISH", "EATS"]  # never shown
    assert model.predict(["the", "fish", "eats", "the", "dog"]) == ["FISH", "DOG", "EATS"]
    assert model.predict(["the", "dog", "eats", "the", "mouse"])[-1] == "EATS"
    assert "mouse" in model.predict(["the", "dog", "eats", "the", "mouse"]) and model.predict(["the"]) == []
    assert model.predict([]) == [] and model.glosses["the"] == ()
    with pytest.raises(ValueError, match="no sentence has glosses"):
        GlossPredictor.of([(["a"], [])])


def test_alignment_is_ibm_model_1():
    """Against loops over words and glosses."""
    random = np.random.default_rng(0)
    pairs = [
        ([str(w) for w in random.integers(0, 6, size=random.integers(1, 5))],
         [str(g) for g in random.integers(0, 5, size=random.integers(1, 4))]) for _ in range(30)
    ]
    chance = Counter()
    for words, glosses in pairs:
        for word in [None, *words]:
            chance.update({(word, gloss): 0 for gloss in glosses})
    chance = dict.fromkeys(chance, 1.0)
    for _ in range(_ROUNDS):
        counts, totals = Counter(), Counter()
        for words, glosses in pairs:
            for gloss in glosses:
                total = sum(chance[word, gloss] for word in [None, *words])
                for word in [None, *words]:
                    counts[word, gloss] += chance[word, gloss] / total
                    totals[word] += chance[word, gloss] / total
        chance = {(word, gloss): count / totals[word] for (word, gloss), count in counts.items()}
    for (words, glosses), found in zip(pairs, _aligned(pairs)):
        for gloss, place in zip(glosses, found):
            every = [chance[word, gloss] for word in [None, *words]]
            assert every[place + 1] == pytest.approx(max(every), abs=1e-9)


# ------------------------------------------------------------------------------------------------ in tables

@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("baselines") / "data"
    write_corpora(root, "tiny", 7)
    return root


def configured(root: Path, *more: str):
    roots = {"how2sign": "How2Sign", "csl": "CSL-Daily", "phoenix": "Phoenix_2014T"}
    paths = [f"DATASET.CORPORA.{name}.ROOT={root}/{folder}" for name, folder in roots.items()]
    return load_config("configs/demo/soke.yaml", overrides=[*paths, f"DATASET.LEXICON={root}/lexicon", *more])


@pytest.mark.slow  # tests/test_chain.py has baselines in its table
def test_every_baseline_is_a_row_of_the_table(corpora, body):
    """Of a corpus without glosses the two that need some are left out, with a note; signs in the order of the signers'
    glosses are nearer to what they signed than a mean pose is."""
    config = configured(corpora)
    chosen = {c.name: c for c in corpora_of(config)}
    system = MeanPose(LAYOUT)
    system.name = "system"
    mean = {part: torch.zeros(size) for part, size in LAYOUT.sizes.items()}
    asked = setting(body, [chosen["how2sign"], chosen["phoenix"]], 4, limits=(40, 400))
    evaluation = generation(system, asked, floors=floors_of(config, BASELINES, system, mean))
    rows = {name: [c.row for c in evaluation.table.cells if c.corpus == name] for name in ("how2sign", "phoenix")}
    common = {"mean pose", "nearest training sentence", "stitched signs"}
    of_glosses = {"stitched signs, signers' glosses", "stitched signs, predicted glosses"}
    assert common <= set(rows["how2sign"]) and not of_glosses & set(rows["how2sign"])
    assert common | of_glosses <= set(rows["phoenix"])
    notes = "\n".join(evaluation.table.notes)
    assert "how2sign: stitched signs, predicted glosses needs glosses, which its clips do not have" in notes
    glosses = [len(clip.gloss.split()) for clip in chosen["phoenix"].clips("test")]
    assert f"phoenix, stitched signs, signers' glosses: {sum(glosses)} words, 4 sentences" in notes
    error = {
        c.row: c.score.values["mm"] for c in evaluation.table.cells
        if (c.corpus, c.metric) == ("phoenix", ("DTW-JPE", "hand"))
    }
    assert error["stitched signs, signers' glosses"] < error["mean pose"]


@pytest.mark.slow  # tests/test_chain.py has baselines in its table
def test_joint_positions_are_made_of_the_lexicons_rotations(corpora, body):
    config = configured(corpora)
    layout = MotionLayout([PartSpec("all", SKELETON_50, rotation="position")])

    class Skeletons(Corpus):
        name, language, fps = "phoenix", "DGS", 25.0

        def clips(self, split):
            (german,) = (c for c in corpora_of(config) if c.name == "phoenix")
            return [replace(clip, corpus=self.name) for clip in german.clips(split)]

        def load(self, clip):
            return skeleton_50(body, super().load(replace(clip, name="c1")))

    class System(MeanPose):
        name = "system"

        def produce(self, sentences):
            return [skeleton_50(body, self.motion)] * len(sentences)

    system, corpus = System(layout), Skeletons(4)
    rest = layout.features(skeleton_50(body, Motion.rest(1, 25.0)))["all"][0]
    asked = setting(BodySkeleton(body), [corpus])
    floors = floors_of(config, ["stitching", "nearest_sentence"], system, {"all": rest})
    evaluation = generation(system, asked, floors=floors)
    assert {"stitched signs", "nearest training sentence"} <= {cell.row for cell in evaluation.table.cells}
    in_metres = generation(system, asked, floors=floors_of(config, ["stitching"], system, {"all": rest / 3}))
    assert "stitched signs" not in {cell.row for cell in in_metres.table.cells}
    assert any("shoulders are 0.33" in note for note in in_metres.table.notes)


@pytest.mark.slow  # tests/test_chain.py has baselines in its table
def test_several_processes_count_as_one(corpora, body):
    config = configured(corpora)
    (corpus,) = (c for c in corpora_of(config) if c.name == "phoenix")
    system = MeanPose(LAYOUT)
    system.name = "system"
    mean = {part: torch.zeros(size) for part, size in LAYOUT.sizes.items()}
    found = []

    def work(world=None) -> None:
        more = {} if world is None else {"world": world}
        asked = setting(body, [corpus], 4, limits=(40, 400), batch_size=2, **more)
        evaluation = generation(system, asked, floors=floors_of(config, ["stitching", "nearest_sentence"], system, mean))
        found.append((evaluation.table.notes, evaluation.clips))

    work()
    assert not together(work, 2)
    (notes, clips), *others = found
    assert all(of_one == notes for of_one, _ in others) and any("words that the lexicon lacks" in note for note in notes)
    by_clip = [sorted(of, key=lambda c: (c["row"], c["clip"])) for of in (clips, others[0][1] + others[1][1])]
    stitched = [[c["frames"] for c in of if c["row"] == "stitched signs"] for of in by_clip]
    assert stitched[0] == stitched[1] and len(stitched[0]) == 4


def test_a_lexicon_is_needed_and_names_must_be_known():
    with pytest.raises(UserError, match="TEST.BASELINES: stitching takes signs from DATASET.LEXICON, which is null"):
        load_config("configs/soke.yaml", overrides=["DATASET.LEXICON=null", "TEST.BASELINES=[stitching]"])
    with pytest.raises(UserError, match=r"TEST.BASELINES must be of .* not stiching \(did you mean stitching\?\)"):
        load_config("configs/soke.yaml", overrides=["TEST.BASELINES=[stiching]"])
