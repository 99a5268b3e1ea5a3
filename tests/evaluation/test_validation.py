"""Generated motion in validation is scored as a test scores it, and training does not notice."""

from __future__ import annotations

import pytest
import torch

from soke.body.motion import Motion
from soke.data.clip import Clip, ClipError
from soke.data.dataset import MotionDataset
from soke.errors import UserError
from soke.evaluation import validation
from soke.evaluation.rows import generation
from soke.evaluation.validation import GenerationScore, spread_samples
from soke.generator.producer import SignProducer
from tests.evaluation.helpers import Corpus, setting
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import SOKE, small_tokenizer

LIMITS = (8, 40)


class Watched(Corpus):
    """Number 1 is recorded at 20 frames/s; those in `broken` cannot be read."""

    def __init__(self, name: str, language: str, fps: float, size: int, broken: tuple[int, ...] = ()):
        super().__init__(size, [fps, 20.0, *[fps] * size])
        self.name, self.language, self.fps, self.broken = name, language, fps, broken
        self.loaded: list[str] = []

    def load(self, clip: Clip) -> Motion:
        self.loaded.append(clip.name)
        if int(clip.name[1:]) in self.broken:
            raise ClipError("torn")
        return super().load(clip)


def corpora() -> list[Watched]:
    return [Watched("a", "ASL", 24.0, 3), Watched("d", "DGS", 25.0, 5)]


def val_split(corpora: list[Watched]) -> MotionDataset:
    return MotionDataset(corpora, "val", SOKE, *LIMITS)


@pytest.fixture(scope="module")
def producer() -> SignProducer:
    tokenizer = small_tokenizer()
    generator = make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash)
    return SignProducer(generator, tokenizer)


@pytest.fixture
def score(producer, body) -> GenerationScore:
    samples, _ = spread_samples(val_split(corpora()), 32)
    return GenerationScore(producer, body, samples)


def test_scores_are_those_of_a_test_of_the_same_clips(producer, score, body):
    cells = generation(producer, setting(body, corpora(), 4, split="val", limits=LIMITS)).table.cells
    expected = {}
    for name in ("DTW-JPE", "DTW-PA-JPE"):
        key = name.replace("-", "_")
        for part, suffix in (("body", "_body"), ("hand", "_hand"), ("avg", "")):
            values = [cell.score.values["m"] for cell in cells if (cell.row, *cell.metric) == ("generated", name, part)]
            assert len(values) == 2  # corpora, whose clips are scored at 24 and 25 frames/s
            expected[key + suffix] = sum(values) / 2
        assert expected[key] == pytest.approx((12 * expected[f"{key}_body"] + 42 * expected[f"{key}_hand"]) / 54)
    found = score.compute()
    assert {key: value.item() for key, value in found.items()} == pytest.approx(expected, rel=1e-5)


def test_references_are_posed_once(score, monkeypatch):
    posed = []
    original = validation.track_of
    monkeypatch.setattr(validation, "track_of", lambda *args, **more: posed.append(1) or original(*args, **more))
    first = score.compute()
    assert len(posed) == 16  # 8 generated motions and their references
    assert score.compute() == first and len(posed) == 24


def test_training_mode_and_random_numbers_stay_as_they_are(score, monkeypatch):
    expected = score.compute()
    produce = score.producer.produce

    def drawing(clips):
        torch.rand(7)
        return produce(clips)

    monkeypatch.setattr(score.producer, "produce", drawing)
    score.producer.generator.train()
    try:
        state = torch.get_rng_state()
        assert score.compute() == expected  # without dropout
        assert torch.equal(torch.get_rng_state(), state)
        assert score.producer.generator.training
    finally:
        score.producer.generator.eval()


def test_processes_share_the_clips(score, monkeypatch):
    produce, seen = score.producer.produce, []
    monkeypatch.setattr(score.producer, "produce", lambda clips: seen.append(clips) or produce(clips))
    for rank in range(3):
        score.compute(rank, 3)
    assert sorted((c.corpus, c.name) for clips in seen for c in clips) == [("a", f"c{i}") for i in range(3)] + [
        ("d", f"c{i}") for i in range(5)
    ]


def test_samples_are_evenly_spaced_and_no_others_are_read():
    large = Watched("a", "ASL", 24.0, 20)
    samples, skipped = spread_samples(val_split([large, Watched("d", "DGS", 25.0, 2)]), 4)
    assert [(s.clip.corpus, s.clip.name) for s in samples] == [
        *(("a", f"c{i}") for i in (0, 5, 10, 15)), ("d", "c0"), ("d", "c1"),
    ]
    assert large.loaded == ["c0", "c5", "c10", "c15"] and not skipped


def test_an_unreadable_sample_gives_way_to_the_next_and_is_listed():
    samples, skipped = spread_samples(val_split([Watched("a", "ASL", 24.0, 6, broken=(0, 2, 3))]), 3)
    assert [s.clip.name for s in samples] == ["c1", "c4"]
    assert [str(clip) for clip in skipped] == ["a/c0", "a/c2", "a/c3"]


def test_what_cannot_be_scored_is_said_at_once(producer, body):
    with pytest.raises(UserError, match="no clip of the val split can be read.*: check `corpora`, or set `generate_every`=0"):
        GenerationScore(producer, body, [])
