"""Clip and Corpus: what every room knows of a data set."""
from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from soke.body.motion import JointMotion, Motion
from soke.errors import UserError
from soke.text.locales import ENGLISH, TEXT_LOCALE, canonical
from soke.text.spelling import spelled

_log = logging.getLogger(__name__)
SPLITS = ("train", "val", "test")

OF_SIGNERS = "reference motion"  # what a model that scores was trained on, in its provenance


class ClipError(UserError):
    """A clip that cannot be used; the message names the clip, the file and the cause."""


@dataclass(frozen=True)
class Clip:
    """One signed sentence (or isolated sign) of a corpus; the motion itself is loaded by `Corpus.load`.

    Text, gloss and prompt are brought to one spelling, see `spelled`, the language to its `canonical` code. Raises
    ClipError where one of the texts is something else than a text.

    name:     unique in its corpus, as the annotation writes it (may contain '/')
    corpus:   name of the corpus, which is also the name of its folder of codes
    split:    train, val or test
    language: sign language
    text:     spoken-language sentence (for an isolated sign: its word)
    frames:   where its frames are: a folder of frame files, or one file
    fps:      frames per second of the stored frames
    gloss:    sign glosses separated by blanks, where the corpus has them
    signer:   signer's id, where the corpus has one
    seconds:  how long the annotation says that it lasts, where it does
    prompt:   what asks for the sentence's signing (Prompt2Sign), where the corpus has it
    segment:  number of its first frame and of the one behind its last, where it is a part of what `frames` holds
    """

    name: str
    corpus: str
    split: str
    language: str
    text: str
    frames: Path
    fps: float
    gloss: str | None = None
    signer: str | None = None
    seconds: float | None = None
    prompt: str | None = None
    segment: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for key, value in (("text", self.text), ("gloss", self.gloss), ("prompt", self.prompt)):
            if not isinstance(value, str) and (value is not None or key == "text"):
                raise ClipError(f"clip {self.name}: its {key} is of type {type(value).__name__}, it must be text")
        object.__setattr__(self, "language", canonical(self.language))
        object.__setattr__(self, "text", spelled(self.text))
        if self.prompt is not None:
            object.__setattr__(self, "prompt", spelled(self.prompt))
        if self.gloss is not None:  # blanks part glosses in every script
            object.__setattr__(self, "gloss", " ".join(map(spelled, self.gloss.split())))


@dataclass(frozen=True)
class SkippedClip:
    """A clip that was left out, and why. In a data set, which knows the split, it stands where the clip would have
    stood."""

    corpus: str
    name: str
    reason: str
    split: str = ""

    def __str__(self) -> str:
        return f"{self.corpus}/{self.name}"

    @property
    def line(self) -> str:
        """As lists of such clips have it: corpus/name TAB split TAB reason."""
        return f"{self}\t{self.split}\t{' '.join(self.reason.split())}\n"


class Corpus(Protocol):
    """What a corpus has to offer: list the clips of a split, load one.

    name:     also the name of its folder of codes
    language: sign language of its clips
    fps:      working frame rate; motions recorded at a lower one keep theirs

    A corpus of a sign language that `TEXT_LOCALE` does not have also has `locale`, that of its texts. A class whose
    clips are no sentences, for tokenizers alone, says so: `has_sentences = False`.

    A corpus may also have `length(clip) -> int`, the number of frames that `load` gives, told without reading them: its
    clips can then be put in batches with others of similar length. A class whose motions are joint positions may have
    `unit`, `m` where they are metres (default: a unit that nobody knows), and `up`, "+y" (default) or "-y".
    """

    name: str
    language: str
    fps: float

    def clips(self, split: str) -> list[Clip]:
        """The clips of `split` in annotation order. Raises UserError when files are missing."""
        ...

    def skipped(self, split: str) -> list[SkippedClip]:
        """The annotated clips of `split` that `clips` had to leave out, other than by the corpus's own rules."""
        ...

    def load(self, clip: Clip) -> Motion | JointMotion:
        """The motion of one clip at the corpus's working frame rate. Raises ClipError."""
        ...


def one_language(clips: Sequence[Clip], kind: str) -> str:
    """The sign language of training clips. Raises UserError for no clips, and for clips of several sign languages.

    kind: of the model that is trained
    """
    languages = sorted({clip.language for clip in clips})
    if len(languages) != 1:
        raise UserError(
            f"a {kind} reads one sign language, but these clips are of {', '.join(languages)}: keep the corpora of one"
            if clips else "there are no training clips: check the corpora"
        )
    return languages[0]


def require_signers(motions: Iterable[tuple[Clip, Motion | JointMotion]], kind: str) -> None:
    """Raises UserError for motion that a model has made, on which what scores motion is not trained.

    kind: of the model that is trained
    """
    for clip, motion in motions:
        if motion.made_by:
            raise UserError(
                f"clip {clip.corpus}/{clip.name} holds motion made by {motion.made_by}, but a {kind} is trained on "
                "reference motion alone: give it a corpus of signers' motion"
            )


def one_code(corpus: str, language: str, locale: str | None) -> str:
    """The canonical code of a corpus's sign language. Raises UserError where the locale of its texts shows that another
    one is meant."""
    code = canonical(language)
    if code != language and locale and locale != TEXT_LOCALE[code]:
        raise UserError(
            f"corpus {corpus}: {language} is another name of {code}, whose texts have the locale {TEXT_LOCALE[code]}, "
            f"not {locale}; give its sign language another code"
        )
    return code


def locale_of(corpus: Corpus) -> str:
    """The locale of a corpus's texts: its own, else that of its sign language, else English, with a warning."""
    locale = getattr(corpus, "locale", None) or TEXT_LOCALE.get(canonical(corpus.language))
    if locale is None:
        _warn_of_english(corpus.name, corpus.language)
    return locale or ENGLISH


def locales_of(corpora: Sequence[Corpus]) -> dict[str, str]:
    """{sign language: locale} of corpora. Raises UserError where two of one sign language have other locales."""
    found: dict[str, tuple[str, str]] = {}
    for corpus in corpora:
        locale = locale_of(corpus)
        first, name = found.setdefault(canonical(corpus.language), (locale, corpus.name))
        if first != locale:
            raise UserError(
                f"the texts of {corpus.language} have the locale {first} in {name}, but {locale} in {corpus.name}: "
                "give one of the corpora another `language`, or both the same `locale`"
            )
    return {language: locale for language, (locale, _) in found.items()}


@lru_cache(maxsize=None)  # once per corpus
def _warn_of_english(name: str, language: str) -> None:
    _log.warning(
        "corpus %s: it is not known in which language the texts of %s are written, and English (%s) is taken; if it is "
        "another, give its reader a `locale`", name, language, ENGLISH,
    )
