"""Settings of back-translation models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from soke.settings import TransformerSettings


@dataclass(frozen=True)
class Translation(TransformerSettings):
    moved: ClassVar[dict[str, str]] = {
        "patience": "TRAIN.OPTIM.PATIENCE, for TRAIN.OPTIM.SCHEDULE=plateau",
        "decay": "TRAIN.OPTIM.FACTOR, for TRAIN.OPTIM.SCHEDULE=plateau",
    }
    heeds: ClassVar[tuple[str, ...]] = ("TRAIN.LABEL_SMOOTHING",)
    augmented_by: ClassVar[tuple[str, ...]] = ("speed", "rotation_noise", "position_noise", "mirror", "time_mask")

    level: Literal["auto", "word", "char", "jieba"]
    gloss_weight: float
    text_weight: float
    pseudo_glosses: bool
    max_tokens: int
    beams: list[int]
    length_penalties: list[float]
    batch_sizes: dict[str, int]

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 <= self.gloss_weight < math.inf or not 0 < self.text_weight < math.inf:
            found.append("`gloss_weight` must be a finite number of at least 0, and `text_weight` one above 0")
        if not self.beams or min(self.beams) < 1 or not self.length_penalties:
            found.append("`beams` must list beam sizes of at least 1, `length_penalties` at least one number")
        found += [
            f"`batch_sizes.{corpus}` must be at least 1, not {size}"
            for corpus, size in self.batch_sizes.items() if size < 1
        ]
        return found + self.below(1, "max_tokens")
