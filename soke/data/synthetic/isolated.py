"""A synthetic NMFs-CSL: signs alone, of which the confusing ones share their hands with others and differ in the face.

Which words share their hands is drawn by chance among words whose mouthings can be told apart. What ten coefficients
keep of the difference is left to the mouth shapes.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import torch

from soke.data.clip import SPLITS
from soke.data.synthetic.corpora import looked_at, seed_number
from soke.data.synthetic.faces import FacePlan
from soke.data.synthetic.grammar import Marks
from soke.data.synthetic.motion import Performance, Signer, perform
from soke.data.synthetic.signs import SignForm
from soke.data.synthetic.visemes import mouthing


@dataclass(frozen=True)
class IsolatedSize:
    """groups: number of pairs and of triples of confusing words; normal: other words; clips: of each word per split."""

    groups: tuple[int, int]
    normal: int
    clips: dict[str, int]


ISOLATED_SIZES = {
    "tiny": IsolatedSize((1, 1), 3, {"train": 3, "val": 2, "test": 2}),
    "demo": IsolatedSize((8, 8), 30, {"train": 12, "val": 4, "test": 4}),
    "large": IsolatedSize((24, 24), 80, {"train": 24, "val": 4, "test": 6}),
}
ISOLATED_FOLDER = "NMFs-CSL"
_LANGUAGE = "CSL"
_FPS = 30.0
_SIGNERS = 10
_TEMPO = 0.75  # of a sign alone, against signing in sentences
_REST = (0.20, 0.45)  # s before and after the sign, least and most
_DIFFERENT = 2  # edits between the mouthings of confusing words
_WITH_BROWS = 0.3  # share of the groups whose words differ in the brows, too
_BROWS = ({"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.4}, {"browDown": 1.0, "eyeSquint": 0.4}, {})


@dataclass(frozen=True)
class IsolatedSign:
    """label: class, from 0; group: of confusing signs that share their hands, else empty; brows: facial actions."""

    word: str
    label: int
    subset: Literal["confusing", "normal"]
    group: str
    form: SignForm
    brows: dict[str, float]


@dataclass(frozen=True)
class IsolatedTake:
    """One clip. rest: s before and after the sign."""

    name: str
    split: str
    sign: IsolatedSign
    signer: int
    rest: float
    seed: int


@dataclass(frozen=True)
class IsolatedCorpus:
    """The corpus before it is written."""

    signs: tuple[IsolatedSign, ...]
    signers: tuple[Signer, ...]
    takes: tuple[IsolatedTake, ...]
    folder: str = ISOLATED_FOLDER

    def performance(self, take: IsolatedTake) -> Performance:
        rng = torch.Generator().manual_seed(take.seed)
        return perform([take.sign.form], self.signers[take.signer], _FPS, rng, take.rest)

    def frames(self, take: IsolatedTake) -> tuple[str, str]:
        return f"poses/{take.name}", "{:06}.pkl"

    def face(self, take: IsolatedTake) -> FacePlan:
        word = take.sign.word
        looks = looked_at(take.sign.group or word)  # confusing signs share their gaze as they share their hands
        return FacePlan((mouthing(word, _LANGUAGE),), Marks(), (looks,), (take.sign.brows,))


def plan_isolated(size: str, seed: int, signs: dict[str, tuple[SignForm, ...]]) -> IsolatedCorpus:
    """Everything follows from `size`, a key of `ISOLATED_SIZES`, `seed`, and the language's signs by word."""
    chosen = _choose(ISOLATED_SIZES[size], random.Random(f"{seed}-isolated"), signs)
    signers = _signers(seed)
    takes = []
    for sign in chosen:
        number = 0
        for split in SPLITS:
            for _ in range(ISOLATED_SIZES[size].clips[split]):
                signer = (sign.label + number) % _SIGNERS
                name = f"S{sign.label:04}_P{signer:02}_T{number:02}"
                clip = seed_number(seed, ISOLATED_FOLDER, name)
                rest = random.Random(clip).uniform(*_REST)
                takes.append(IsolatedTake(name, split, sign, signer, rest, clip))
                number += 1
    return IsolatedCorpus(chosen, signers, tuple(takes))


def _choose(
    size: IsolatedSize, rng: random.Random, signs: dict[str, tuple[SignForm, ...]],
) -> tuple[IsolatedSign, ...]:
    """Confusing words first, as the public classes are numbered."""
    words = sorted(signs)
    rng.shuffle(words)
    pairs, triples = size.groups
    chosen: list[IsolatedSign] = []
    for number, count in enumerate([2] * pairs + [3] * triples):
        group = [words.pop()]
        while len(group) < count:
            group.append(words.pop(next(
                i for i, word in enumerate(words)
                if all(edits(_shapes(word), _shapes(other)) >= _DIFFERENT for other in group)
            )))
        brows = _BROWS if rng.random() < _WITH_BROWS else [{}] * count
        for word, own in zip(group, brows):
            form = signs[group[0]][0]
            chosen.append(IsolatedSign(word, len(chosen), "confusing", f"group{number:02}", form, own))
    for _ in range(size.normal):
        word = words.pop()
        chosen.append(IsolatedSign(word, len(chosen), "normal", "", signs[word][0], {}))
    return tuple(chosen)


def _shapes(word: str) -> tuple[str, ...]:
    return mouthing(word, _LANGUAGE)


def edits(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Fewest shapes to add, drop or replace that make one mouthing the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, shape in enumerate(first, start=1):
        above, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (shape != other))
    return row[-1]


def _signers(seed: int) -> tuple[Signer, ...]:
    rng = torch.Generator().manual_seed(seed_number(seed, ISOLATED_FOLDER, "signers"))
    betas = 0.8 * torch.randn(_SIGNERS, 10, generator=rng).clamp(-2, 2)
    tempo = _TEMPO * (1 + 0.10 * (2 * torch.rand(_SIGNERS, generator=rng) - 1))
    amplitude = 1 + 0.12 * (2 * torch.rand(_SIGNERS, generator=rng) - 1)
    return tuple(
        Signer(f"Signer{i:02}", betas[i], tempo=float(tempo[i]), amplitude=float(amplitude[i])) for i in range(_SIGNERS)
    )
