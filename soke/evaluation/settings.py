"""Settings of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from soke.settings import Settings


@dataclass(frozen=True)
class Metric(Settings):
    dtw: Literal["exact", "fastdtw"]
    level: Literal["auto", "word", "char", "jieba"]
    back_translation: str
