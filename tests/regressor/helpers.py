"""A small regressor of three parts, and clips of two sign languages whose words are poses."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, RIGHT_HAND
from soke.body.layout import MotionLayout, PartSpec
from soke.data.clip import Clip
from soke.data.dataset import MotionBatch, MotionSample, collate_motions
from soke.data.statistics import compute_statistics
from soke.regressor.group import new_group, specs_of
from soke.regressor.objectives import Objectives
from soke.regressor.regressor import PoseRegressor
from soke.regressor.settings import Regressor
from soke.run.config import load_config

CONFIG = load_config("configs/progressive_transformer.yaml")
SETTINGS = replace(CONFIG.regressor, width=16, heads=2, feedforward=32, noise=0.0, future=1, counter_noise=0.0)
LAYOUT = MotionLayout([
    PartSpec("head", ("head", "neck")), PartSpec("lhand", LEFT_HAND[:2]), PartSpec("rhand", RIGHT_HAND[:3]),
])
FEATURES = sum(LAYOUT.sizes.values())
LOCALES = {"ASL": "en_XX", "DGS": "de_DE"}
CORPORA = {"ASL": "news", "DGS": "weather"}
FPS = {"news": 24.0, "weather": 25.0}
SENTENCES = (
    ("rain tomorrow", "ASL"), ("sun and snow tomorrow", "ASL"), ("morgen regen", "DGS"), ("snow", "ASL"),
    ("heute sonne und schnee", "DGS"),
)


def clip(text: str, language: str, number: int = 0, gloss: str | None = None) -> Clip:
    return Clip(f"c{number}", CORPORA[language], "train", language, text, Path("nowhere"), FPS[CORPORA[language]], gloss)


def poses(text: str, hold: int) -> Tensor:
    """[T, F]: every word a pose that is held for `hold` frames and reached smoothly."""
    words = [torch.randn(FEATURES, generator=torch.Generator().manual_seed(sum(map(ord, w)) * 7919)) for w in text.split()]
    frames = torch.stack(words).repeat_interleave(hold, dim=0) * 0.3
    return torch.cat([frames[:1], (frames[1:] + frames[:-1]) / 2])


def sample(text: str, language: str, number: int = 0, hold: int = 3, gloss: str | None = None) -> MotionSample:
    features = dict(zip(LAYOUT.names, poses(text, hold).split(list(LAYOUT.sizes.values()), dim=1)))
    of = clip(text, language, number, gloss)
    return MotionSample(of, features, LAYOUT.motion(features, of.fps))


def samples(hold: int = 3) -> list[MotionSample]:
    return [sample(*sentence, number, hold, sentence[0].upper()) for number, sentence in enumerate(SENTENCES)]


def batch_of(items: Sequence[MotionSample]) -> MotionBatch:
    return collate_motions(items)


def regressor(
    items: Sequence[MotionSample] = (), seed: int = 0, layout: MotionLayout = LAYOUT, **changes
) -> PoseRegressor:
    """With random weights, in evaluation mode; changes: of the settings"""
    torch.manual_seed(seed)
    items = items or samples()
    statistics = compute_statistics((item.features for item in items), layout)
    settings: Regressor = replace(SETTINGS, **changes)
    clips = [item.clip for item in items]
    specs = specs_of(settings, clips, LOCALES, {clip.corpus: clip.fps for clip in clips})
    groups = {name: new_group(spec, sum(layout.sizes.values())) for name, spec in specs.items()}
    made = PoseRegressor(layout, statistics.mean, statistics.std, groups)
    with torch.no_grad():  # so that what it starts from is not what it would be without
        for group in made.groups.values():
            if group.start is not None:
                group.start.normal_(std=0.5)
    return made.eval()


def objectives(**shares: float) -> Objectives:
    return Objectives(shares or {"mse": 1.0}, CONFIG.priority)


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for part, values in expected.items():
        torch.testing.assert_close(found[part], values, atol=2e-5, rtol=1e-5)
