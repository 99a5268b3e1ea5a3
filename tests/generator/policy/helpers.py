"""A tiny generator that learns by reward of a corpus of random motion."""

from __future__ import annotations

from dataclasses import replace

from soke.data.dataset import MotionDataset
from soke.generator.policy.learner import PolicyLearner
from soke.generator.policy.rewards import Points, References
from soke.generator.producer import SignProducer
from soke.generator.settings import Policy
from soke.run.config import load_config
from tests.evaluation.helpers import Corpus
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import SOKE, small_tokenizer

SETTINGS = load_config("configs/soke.yaml").policy
NONE = dict.fromkeys(SETTINGS.rewards, 0.0)


def policy(**changes) -> Policy:
    """The default settings with three samples of each sentence, but for the changes; `rewards` are the only ones."""
    rewards = {**NONE, **changes.pop("rewards", {"dtw": 1.0})}
    return replace(SETTINGS, **{"share": 1.0, "samples": 3, "rewards": rewards, **changes})


def make_producer(**changes) -> SignProducer:
    tokenizer = small_tokenizer()
    generator = make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash, **changes)
    return SignProducer(generator, tokenizer, batch_size=2)


def make_learner(body, producer: SignProducer | None = None, corpus: Corpus | None = None, readers=None, **changes):
    """Of a corpus of five clips."""
    producer, corpus = producer or make_producer(), corpus or Corpus(5)
    points = Points(body)
    datasets = {split: MotionDataset([corpus], split, SOKE, 8, 40) for split in ("train", "val")}
    skipped: list = []
    learner = PolicyLearner(
        policy(**changes), producer, References(datasets, producer, points), points, readers or {}, "start", skipped.extend
    )
    learner.skipped = skipped
    return learner
