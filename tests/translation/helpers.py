"""A tiny sign language, in which every word is a pose that is held, and translators of it."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from soke.body.joints import LEFT_HAND, RIGHT_HAND
from soke.body.layout import MotionLayout, PartSpec
from soke.data.clip import Clip
from soke.data.dataset import MotionSample, collate_motions
from soke.data.statistics import compute_statistics
from soke.run.config import load_config
from soke.run.selecting import Selection
from soke.run.settings import Optim
from soke.settings import TransformerSettings
from soke.text.words import Level
from soke.translation.model import SignTranslationModel
from soke.translation.module import TranslationModule
from soke.translation.translator import BackTranslator

LAYOUT = MotionLayout([PartSpec("lhand", LEFT_HAND[:3]), PartSpec("rhand", RIGHT_HAND[:4])])
CONFIG = load_config("configs/back_translation.yaml")
TRAINING = CONFIG.translation
SETTINGS = TransformerSettings(width=32, layers=2, heads=4, feedforward=64, dropout=0.1)
SENTENCES = (
    "it will rain tomorrow morning",
    "the sun shines in the morning",
    "tomorrow it will snow here",
    "snow and rain come tonight",
)
FEATURES = 12


def plateau(**changes: float) -> Optim:
    """As Sign Language Transformers are trained, but for the changes."""
    return replace(CONFIG.train.optim, **changes)


def sample(
    name: str, text: str, gloss: str | None = None, language: str = "ASL", made_by: str = "", hold: int = 2
) -> MotionSample:
    """Each word of the text held for `hold` frames, each distinct word by a pose of its own."""
    poses = [
        torch.randn(sum(LAYOUT.sizes.values()), generator=torch.Generator().manual_seed(sum(map(ord, word)) * 7919))
        for word in text.split()
    ]
    frames = torch.stack(poses).repeat_interleave(hold, dim=0) * 0.3
    features = dict(zip(LAYOUT.names, frames.split(list(LAYOUT.sizes.values()), dim=1)))
    motion = LAYOUT.motion(features, 25.0)
    object.__setattr__(motion, "made_by", made_by)
    return MotionSample(Clip(name, "tiny", "train", language, text, Path("nowhere"), 25.0, gloss), features, motion)


def samples(glosses: bool = True) -> list[MotionSample]:
    return [sample(f"clip{i}", text, text.upper() if glosses else None) for i, text in enumerate(SENTENCES)]


def translator(
    trained_on: Sequence[MotionSample], seed: int = 0, settings: TransformerSettings = SETTINGS, level: Level = "word",
    **options,
) -> BackTranslator:
    torch.manual_seed(seed)
    statistics = compute_statistics((item.features for item in trained_on), LAYOUT)
    clips = [item.clip for item in trained_on]
    return BackTranslator.untrained(clips, LAYOUT, statistics, settings, "en_XX", level, max_tokens=12, **options)


def loader(items: Sequence[MotionSample], batch_size: int = 4) -> DataLoader:
    return DataLoader(list(items), batch_size=batch_size, collate_fn=collate_motions)


def fit(
    module: TranslationModule, train: DataLoader, val: DataLoader, epochs: int, resume: Path | None = None, **options
) -> pl.Trainer:
    """The trainer after training."""
    followed = Selection(module.monitor, module.optim, stated=False)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"enable_checkpointing": False, **options, "callbacks": [followed, *options.get("callbacks", [])]},
    )
    trainer.fit(module, train, val, ckpt_path=resume, weights_only=True)
    return trainer


def bleu4(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """Of tokens, counted n-gram by n-gram."""
    log_precisions = []
    for n in range(1, 5):
        right = total = 0
        for said, wanted in zip(hypotheses, references, strict=True):
            grams, known = (
                Counter(tuple(s[i : i + n]) for i in range(len(s) - n + 1)) for s in (list(said), list(wanted))
            )
            right, total = right + (grams & known).total(), total + grams.total()
        if not right:
            return 0.0
        log_precisions.append(math.log(right / total))
    said, wanted = (sum(map(len, sentences)) for sentences in (hypotheses, references))
    return 100 * math.exp(sum(log_precisions) / 4 + min(0.0, 1 - wanted / said))


def random_model(
    texts: int = 9, glosses: int = 7, seed: int = 0, scale: float = 1.0, **settings
) -> SignTranslationModel:
    """In evaluation mode, with running statistics that are not those of a new one; `scale` sharpens what it says."""
    torch.manual_seed(seed)
    sizes = {"width": 16, "layers": 2, "heads": 2, "feedforward": 32, "dropout": 0.1, **settings}
    model = SignTranslationModel(
        torch.randn(FEATURES), torch.rand(FEATURES) + 0.5, texts, glosses, TransformerSettings(**sizes)
    )
    for norm in (model.frame_norm, model.text_norm):
        norm.running_mean.normal_(std=0.2)
        norm.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        model.text_head.weight.mul_(scale)
    return model.eval()


def random_clips(lengths: Sequence[int], seed: int = 1) -> list[torch.Tensor]:
    """[T, FEATURES] each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, FEATURES, generator=generator) for length in lengths]
