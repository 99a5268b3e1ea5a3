"""What the synthetic corpora of joint positions hold: Prompt2Sign's eight sign languages, of very different sizes.

GSL and DSGS translate the same German words by signs of their own.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial

from soke.data.synthetic.corpora import SyntheticCorpus, plan_corpus
from soke.data.synthetic.language import SpokenLanguage
from soke.data.synthetic.small_vocabularies import FRENCH, ITALIAN, KOREAN, SPANISH, TURKISH
from soke.data.synthetic.vocabularies import ENGLISH, GERMAN

FPS = 25.0
_POOL = 4000  # forms; a third of what the larger vocabularies choose their signs from
# Prompt2Sign's code, which is the name of the folder -> its language.
SPOKEN: dict[str, SpokenLanguage] = {
    "ASL": ENGLISH, "GSL": GERMAN, "DSGS": replace(GERMAN, language="DSGS"), "LSF-CH": FRENCH, "LIS-CH": ITALIAN,
    "LSA": SPANISH, "KSL": KOREAN, "TSL": TURKISH,
}
_TRAIN = {"ASL": 600, "GSL": 500, "DSGS": 300, "LSF-CH": 250, "LIS-CH": 200, "LSA": 100, "KSL": 250, "TSL": 200}
# Code -> split -> clips.
SKELETON_SIZES: dict[str, dict[str, dict[str, int]]] = {
    "tiny": {code: {"train": 6, "val": 2, "test": 2} for code in _TRAIN},
    "demo": {code: {"train": count, "val": 16, "test": 24} for code, count in _TRAIN.items()},
    "large": {code: {"train": 5 * count, "val": 60, "test": 100} for code, count in _TRAIN.items()},
}


@dataclass(frozen=True)
class SkeletonCorpus:
    """One language's corpus before it is written. code: Prompt2Sign's, the name of its folder."""

    code: str
    planned: SyntheticCorpus


@cache
def plan_skeletons(size: str, seed: int) -> tuple[SkeletonCorpus, ...]:
    """The corpora of all eight languages; everything follows from `size`, a key of `SKELETON_SIZES`, and `seed`.

    All words of a language are used equally often. None needs a face to be told from another, for the skeleton has
    none.
    """
    corpora = []
    for code, spoken in SPOKEN.items():
        bare = replace(spoken.with_tail(0), clauses=(), face_pairs=(), negative=())
        planned = plan_corpus(bare, SKELETON_SIZES[size][code], seed, partial(_name, code), _POOL)
        corpora.append(SkeletonCorpus(code, planned))
    return tuple(corpora)


def _name(code: str, split: str, number: int, take: int, signer: int) -> tuple[str, float]:
    return f"{code}_{number:05}_P{signer:02}", FPS
