"""A corpus of random motion, and systems of no model, that the tests of this room share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.data.clip import Clip, SkippedClip
from soke.evaluation.protocols import Sentence
from soke.evaluation.references import Setting
from soke.run.config import load_config


class Corpus:
    """Random motions of 9 frames and more, recorded at `rates` in turn."""

    name, language, fps = "own", "ASL", 24.0

    def __init__(self, size: int, rates: Sequence[float] = (24.0,)):
        self.size, self.rates = size, rates

    def clips(self, split: str) -> list[Clip]:
        texts = ["rain", "sun and snow", "snow", "tomorrow rain", "rain tomorrow, sun"]
        return [
            Clip(f"c{i}", self.name, split, self.language, f"{texts[i % 5]} {i}", Path("nowhere"), self.fps)
            for i in range(self.size)
        ]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def load(self, clip: Clip) -> Motion:
        number = int(clip.name[1:])
        motion = Motion.rest(9 + 4 * number, self.rates[number % len(self.rates)])
        random = torch.Generator().manual_seed(number)
        motion.rotations[:, 12:] = 0.2 * torch.randn(len(motion), 43, 3, generator=random).cumsum(0)
        return motion


class MeanPose:
    """A system without a tokenizer, and without statistics: one posture for 20 frames, whatever the sentence."""

    name, frames = "mean pose", 20

    def __init__(self, layout: MotionLayout, fps: float = 24.0):
        self.layout, self.conditions = layout, {"layout": layout.hash}
        self.motion = Motion.rest(self.frames, fps)
        self.motion.rotations[:, 12:] = 0.3
        self.batches: list[int] = []  # sentences of each call

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        self.batches.append(len(sentences))
        return [self.motion] * len(sentences)


class LengthReader:
    """Reads from a motion how long it is."""

    language, hash = "ASL", "0123456789ab"

    def translate(self, motions: Sequence[Motion]) -> list[str]:
        return [f"rain {len(motion)}" for motion in motions]


def setting(
    body, corpora: Sequence[Corpus], multiple: int = 1, *, split: str = "test", limits: tuple[int, int] = (8, 40),
    batch_size: int = 32, **more,
) -> Setting:
    """With the sections of a configuration, but for what is given."""
    config = load_config("configs/soke.yaml")
    dataset = replace(config.dataset, min_frames=limits[0], max_frames=limits[1])
    test = replace(config.test, split=split, batch_size=batch_size)
    return Setting(corpora, body, dataset, config.metric, test, multiple, **more)
