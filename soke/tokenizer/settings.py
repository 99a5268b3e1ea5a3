"""Settings of tokenizers and of their training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Sequence

from soke.body.settings import Part
from soke.settings import Settings


@dataclass(frozen=True)
class Tokenizer(Settings):
    path: str
    codes: dict[str, int]
    code_dim: int
    width: int
    depth: int
    dilation_growth: int
    downsample: int
    ema_decay: float

    def problems(self) -> list[str]:
        down = self.downsample
        return [f"`downsample` must be a power of two, not {down}"] if down < 1 or down & (down - 1) else []

    def training_problems(self, config: Any) -> list[str]:
        return self.misfit(config.parts)

    def misfit(self, parts: Sequence[Part]) -> list[str]:
        """Why it cannot make codes of these parts, a sentence with keys; empty: it can."""
        distinct = [part.name for part in parts if part.mirrors is None]
        if set(self.codes) == set(distinct):
            return []
        named = ", ".join(self.codes) or "no part"
        return [f"TOKENIZER.CODES names {named}, but the tokenized parts are {', '.join(distinct)}"]


@dataclass(frozen=True)
class Loss(Settings):
    feature: float
    velocity: float
    commitment: float
    reduction: Literal["per_part", "all"]
