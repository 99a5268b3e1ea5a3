"""Settings of the models that score motion by embedding it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from soke.settings import Settings, TransformerSettings


@dataclass(frozen=True)
class EncoderSettings(TransformerSettings):
    """Sizes of the two encoders of a retrieval model; dimension: of the space that both embed in."""

    dimension: int

    def problems(self) -> list[str]:
        return super().problems() + self.below(1, "dimension")


@dataclass(frozen=True)
class Retrieval(EncoderSettings):
    augmented_by: ClassVar[tuple[str, ...]] = ("speed", "rotation_noise", "position_noise", "mirror")

    level: Literal["auto", "word", "char", "jieba"]
    temperature: float

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0.01 <= self.temperature <= 1:
            found.append(f"`temperature` must be between 0.01 and 1, not {self.temperature}")
        return found

    def training_problems(self, config: Any) -> list[str]:
        size = config.train.batch_size
        if size > 1 or config.train.batch_frames:
            return []
        return [f"TRAIN.BATCH_SIZE must be at least 2, as a motion is told from the others of its batch, not {size}"]


@dataclass(frozen=True)
class MotionAutoencoderSettings(Settings):
    """Of a motion auto-encoder.

    chunk:     frames that are one latent
    fps:       frames per second that it sees
    width:     channels of the convolutions
    dimension: numbers of a latent
    """

    heeds: ClassVar[tuple[str, ...]] = ("DATASET.CORPORA.*.WEIGHT",)

    chunk: int
    fps: float
    width: int
    dimension: int

    def problems(self) -> list[str]:
        found = self.below(4, "chunk") + self.below(1, "width", "dimension")
        if not 0 < self.fps < 1000:
            found.append(f"`fps` must be a number of frames per second, not {self.fps}")
        return found
