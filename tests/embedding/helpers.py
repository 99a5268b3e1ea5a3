"""Retrieval models and auto-encoders of the tiny sign language of tests/translation/helpers.py, and positions."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch

from soke.body.joints import SKELETON_50, SKELETON_BODY, SKELETON_LEFT_HAND, SKELETON_RIGHT_HAND
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.data.clip import Clip
from soke.data.dataset import MotionSample
from soke.data.statistics import compute_statistics
from soke.embedding.autoencoder import MotionAutoencoder, Seen
from soke.embedding.autoencoder_module import MotionAutoencoderModule
from soke.embedding.module import RetrievalModule
from soke.embedding.retriever import TextMotionRetriever
from soke.embedding.settings import MotionAutoencoderSettings, Retrieval
from soke.run.config import load_config
from tests.translation.helpers import LAYOUT, loader, sample

OPTIM = replace(load_config("configs/retrieval.yaml").train.optim, lr=3e-3, warmup_epochs=0)
SETTINGS = Retrieval(
    width=32, layers=1, heads=2, feedforward=64, dropout=0.0, dimension=16, level="word", temperature=0.07
)
WORDS = "sun rain snow wind cloud storm fog ice heat frost".split()
SMALL = MotionAutoencoderSettings(chunk=10, fps=25.0, width=16, dimension=4)
BODY = Skeleton(SKELETON_50, "m", "+y")
POSITIONS = MotionLayout([
    PartSpec(name, joints, rotation="position") for name, joints in (
        ("body", SKELETON_BODY), ("lhand", SKELETON_LEFT_HAND), ("rhand", SKELETON_RIGHT_HAND),
    )
])


def texts(count: int) -> list[str]:
    """Different sentences of two words."""
    return [f"{WORDS[i % 10]} {WORDS[(i // 10 + i + 1) % 10]}" for i in range(count)]


def samples(count: int = 20) -> list[MotionSample]:
    return [sample(f"clip{i}", text, hold=3 + i % 4) for i, text in enumerate(texts(count))]


def retriever(items: Sequence[MotionSample], settings: Retrieval = SETTINGS, seed: int = 0, **options) -> TextMotionRetriever:
    torch.manual_seed(seed)
    statistics = compute_statistics((item.features for item in items), LAYOUT)
    return TextMotionRetriever.untrained([i.clip for i in items], LAYOUT, statistics, settings, "word", 25.0, **options)


def fit(
    module: pl.LightningModule, items: Sequence[MotionSample], epochs: int, val: Sequence[MotionSample] | None = None,
    batch: int = 20, resume: Path | None = None, **options,
) -> pl.Trainer:
    """The trainer after training, which validates at its end."""
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, **{"enable_checkpointing": False, "check_val_every_n_epoch": epochs, **options},
    )
    trainer.fit(module, loader(items, batch), loader(items if val is None else val, 7), ckpt_path=resume, weights_only=True)
    return trainer


def retrieval_module(items: Sequence[MotionSample], **options) -> RetrievalModule:
    return RetrievalModule(retriever(items, **options), OPTIM)


def moving(number: int, frames: int = 30, made_by: str = "", fps: float = 25.0) -> MotionSample:
    """Joints that swing, each clip in its own way."""
    random = torch.Generator().manual_seed(number)
    way = torch.randn(50, 3, generator=random)
    phase = torch.arange(frames)[:, None, None] * (0.2 + 0.05 * (number % 3))
    rest = torch.randn(50, 3, generator=torch.Generator().manual_seed(99))
    motion = JointMotion(rest + 0.2 * way * phase.sin(), SKELETON_50, fps, made_by)
    clip = Clip(f"clip{number}", "skels", "train", "ASL", f"sentence {number}", Path("nowhere"), fps)
    return MotionSample(clip, POSITIONS.features(motion), motion)


def autoencoder(settings: MotionAutoencoderSettings = SMALL, seed: int = 0) -> MotionAutoencoder:
    torch.manual_seed(seed)
    seen = Seen.of(BODY, POSITIONS)
    facts = {"corpora": ["skels"], "training_clips": 8, "layout_hash": POSITIONS.hash, "form_of_frames": "soke"}
    return MotionAutoencoder.untrained(seen, torch.zeros(3 * seen.count), torch.ones(3 * seen.count), settings, facts)


def autoencoder_module(**options) -> MotionAutoencoderModule:
    return MotionAutoencoderModule(autoencoder(), BODY, POSITIONS, OPTIM, **options)
