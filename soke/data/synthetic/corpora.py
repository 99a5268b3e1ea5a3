"""What the synthetic corpora hold: who signs which sentence in which clip, planned before anything is written."""
from __future__ import annotations

import datetime
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from soke.body.motion import Motion
from soke.data.clip import SPLITS
from soke.data.synthetic.faces import FacePlan
from soke.data.synthetic.grammar import Marks, marks_of
from soke.data.synthetic.language import InventedSentence, SpokenLanguage, write_sentences
from soke.data.synthetic.motion import Performance, Signer, cite, perform
from soke.data.synthetic.signs import POOL, SignForm, invent_signs
from soke.data.synthetic.visemes import mouthing
from soke.data.synthetic.vocabularies import LANGUAGES

FOLDERS = {"ASL": "How2Sign", "CSL": "CSL-Daily", "DGS": "Phoenix_2014T"}
# Clips per language.
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"train": 12, "val": 4, "test": 4},
    "demo": {"train": 1200, "val": 30, "test": 40},
    "large": {"train": 3000, "val": 150, "test": 300},
}
TAIL = {"tiny": 5, "demo": 240, "large": 240}  # words that are rarer than the others, per language
_FPS = {"ASL": 24.0, "CSL": 30.0, "DGS": 25.0}
_HOW2SIGN_FPS = (24.0, 30.0)  # the public corpus mixes frame rates
_SIGNERS = 12
_LEFT_HANDED_SHARE = 0.06  # of the clips; the text cannot tell them, so they must stay few
_REPEATED = 0.08  # share of CSL-Daily's training sentences that a second signer performs
_VARIANT_SHAPES = 2  # a word's second variant is mouthed only so far
_LOOKED_AT = 3  # the eyes follow the hand in every third sign


class Source(Protocol):
    """Whose clips are written together.

    folder:  in the root of all
    signers: of whom each take names one by number
    takes:   its clips, each with name, signer and seed
    """

    @property
    def folder(self) -> str: ...

    @property
    def signers(self) -> tuple[Signer, ...]: ...

    @property
    def takes(self) -> tuple[Any, ...]: ...

    def performance(self, take: Any) -> Performance: ...

    def frames(self, take: Any) -> tuple[str, str]:
        """Folder of a take's frame pickles, within that of all, and the pattern of their names."""

    def face(self, take: Any) -> FacePlan: ...


@dataclass(frozen=True)
class Take:
    """One clip to be performed. fps: of the stored frames; choices: which form of each word is made."""

    name: str
    split: str
    sentence: InventedSentence
    signer: int
    fps: float
    choices: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Entry:
    """One sign of the lexicon. name: of its folder of frames, ASCII; fps: of its frames; signer: none of the people."""

    word: str
    language: str
    name: str
    fps: float
    form: SignForm
    signer: None = None
    seed: int = 0


@dataclass(frozen=True)
class SyntheticCorpus:
    """One language's corpus before it is written. rare: words that training shows at most twice."""

    spoken: SpokenLanguage
    rare: tuple[str, ...]
    signs: dict[str, tuple[SignForm, ...]]
    signers: tuple[Signer, ...]
    takes: tuple[Take, ...]

    @property
    def folder(self) -> str:
        return FOLDERS[self.spoken.language]

    def performance(self, take: Take) -> Performance:
        forms = [self.signs[word][choice] for word, choice in zip(take.sentence.words, take.choices)]
        rng = torch.Generator().manual_seed(take.seed)
        return perform(forms, self.signers[take.signer], take.fps, rng)

    def perform(self, take: Take) -> Motion:
        """Without a face but the simple one of the signs."""
        return self.performance(take).motion()

    def frames(self, take: Take) -> tuple[str, str]:
        if self.spoken.language == "ASL":
            return f"{take.split}/poses/{take.name}", take.name + "_{}_3D.pkl"
        if self.spoken.language == "CSL":
            return f"poses/{take.name}", "{:06}.pkl"
        return take.name, "images{:04}.pkl"

    def face(self, take: Take) -> FacePlan:
        words = take.sentence.words
        shapes = [mouthing(word, self.spoken.language) for word in words]
        return FacePlan(
            mouthings=tuple(s[:_VARIANT_SHAPES] if choice else s for s, choice in zip(shapes, take.choices)),
            marks=marks_of(take.sentence, self.spoken), looks=tuple(map(looked_at, words)), accents=({},) * len(words),
        )


@dataclass(frozen=True)
class SignBook:
    """The lexicon before it is written."""

    takes: tuple[Entry, ...]
    folder: str = "lexicon"
    signers: tuple[Signer, ...] = ()

    def performance(self, take: Entry) -> Performance:
        return cite(take.form, take.fps)

    def frames(self, take: Entry) -> tuple[str, str]:
        return f"poses/{take.name}", "{:06}.pkl"

    def face(self, take: Entry) -> FacePlan:
        return FacePlan((mouthing(take.word, take.language),), Marks(), (looked_at(take.word),), ({},))


def looked_at(word: str) -> bool:
    """Whether the signer's eyes follow the hand in the sign of `word`."""
    return zlib.crc32(word.encode()) % _LOOKED_AT == 0


def plan_corpora(size: str, seed: int) -> tuple[SyntheticCorpus, ...]:
    """The corpora of all languages; everything follows from `size`, a key of `SIZES`, and `seed`."""
    return tuple(
        plan_corpus(spoken.with_tail(TAIL[size]), SIZES[size], seed, partial(_name, spoken.language))
        for spoken in LANGUAGES
    )


def plan_corpus(
    spoken: SpokenLanguage, counts: dict[str, int], seed: int,
    named: Callable[[str, int, int, int], tuple[str, float]], pool: int = POOL,
) -> SyntheticCorpus:
    """The corpus of one language.

    counts: split -> clips
    named:  split, number of the sentence, 0 or 1 for a second signer's take of it, number of the signer -> the clip's
            name and its frame rate
    pool:   as `invent_signs` takes it
    """
    language = spoken.language
    rng = random.Random(f"{seed}-{language}")
    signers = _signers(spoken, seed)
    signs = invent_signs(spoken, seed_number(seed, language, "signs"), pool)
    repeats = int(_REPEATED * counts["train"]) if language == "CSL" else 0
    different = {**counts, "train": counts["train"] - repeats}
    sentences, rare = write_sentences(spoken, different, f"{seed}-{language}-text"), spoken.rare(different["train"])
    takes: list[Take] = []
    number = 0
    for split in SPLITS:
        performances = [(number + i, 0, sentence) for i, sentence in enumerate(sentences[split])]
        number += len(performances)
        if split == "train":
            common = [(n, 1, s) for n, _, s in performances if not set(s.words) & set(rare)]
            performances += common[:repeats]
        few = int(_LEFT_HANDED_SHARE * len(performances)) or int(split == "train")
        left_handed = set(rng.sample(range(len(performances)), few))
        start = rng.randrange(_SIGNERS)
        for i, (n, take, sentence) in enumerate(performances):
            # Signer 0 is the left-handed one. A second take comes half a round later: another signer.
            turn = 1 + (start + n + take * (_SIGNERS // 2)) % (_SIGNERS - 1)
            signer = 0 if i in left_handed else turn
            name, fps = named(split, n, take, signer)
            choices = tuple(rng.randrange(len(signs[word])) for word in sentence.words)
            takes.append(Take(name, split, sentence, signer, fps, choices, seed_number(seed, language, name)))
    return SyntheticCorpus(spoken, rare, signs, signers, tuple(takes))


def seed_number(*parts: object) -> int:
    """A seed from several things, the same on every machine."""
    return zlib.crc32("-".join(str(part) for part in parts).encode())


def _signers(spoken: SpokenLanguage, seed: int) -> tuple[Signer, ...]:
    rng = torch.Generator().manual_seed(seed_number(seed, spoken.language, "signers"))
    betas = 0.8 * torch.randn(_SIGNERS, 10, generator=rng).clamp(-2, 2)
    tempo = 1 + 0.10 * (2 * torch.rand(_SIGNERS, generator=rng) - 1)
    amplitude = 1 + 0.12 * (2 * torch.rand(_SIGNERS, generator=rng) - 1)
    return tuple(
        Signer(f"Signer{i:02}", betas[i], left_handed=i == 0, tempo=float(tempo[i]), amplitude=float(amplitude[i]))
        for i in range(_SIGNERS)
    )


def _name(language: str, split: str, number: int, take: int, signer: int) -> tuple[str, float]:
    """Name of a clip as its corpus would write it, and the frame rate of its frames."""
    if language == "ASL":
        video = number // 8
        return f"synthetic{video:04}_{number % 8}-{signer}-rgb_front", _HOW2SIGN_FPS[video % 2]
    if language == "CSL":
        return f"S{number:06}_P{signer:04}_T{take:02}", _FPS[language]
    day = datetime.date(2010, 1, 1) + datetime.timedelta(days=number // 4)
    # Not strftime: its names of months and days follow the user's locale.
    date = f"{day.day:02}{_MONTHS[day.month - 1]}_{day.year}_{_WEEKDAYS[day.weekday()]}"
    return f"{phoenix_split(split)}/{date}_tagesschau-{number % 4 + 1}", _FPS[language]


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def phoenix_split(split: str) -> str:
    return "dev" if split == "val" else split


def plan_lexicon(corpora: tuple[SyntheticCorpus, ...]) -> SignBook:
    """The lexicon of all languages. A word with variants is shown in the first one."""
    return SignBook(tuple(
        Entry(word, language, f"{language}_{i:04}", _FPS[language], corpus.signs[word][0])
        for corpus in corpora for language in [corpus.spoken.language]
        for i, word in enumerate(corpus.spoken.vocabulary)
    ))
