"""Settings of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from soke.settings import Settings

# Names of TEST.BASELINES; what makes them is in soke/build/baselines.py.
BASELINES = ("mean_pose", "nearest_sentence", "stitching", "gloss_stitching", "predicted_stitching")
OF_LEXICON = BASELINES[2:]  # these take signs from DATASET.LEXICON


@dataclass(frozen=True)
class Metric(Settings):
    dtw: Literal["exact", "fastdtw"]
    level: Literal["auto", "word", "char", "jieba"]
    back_translation: str
    tokenizer: str
    retrieval: str
    pool: int
    frechet: str
    oracle: bool

    def problems(self) -> list[str]:
        return self.below(2, "pool")
