"""What evaluation, timing, validation by generation and pictures know of a system that signs, or reads signing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Protocol, Sequence

import numpy as np
from torch import Tensor

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.text.locales import canonical


class Sentence(Protocol):
    """What a producer reads of a clip; `Typed` is a sentence without a clip."""

    name: str
    text: str
    language: str


@dataclass(frozen=True)
class Typed:
    """A sentence that somebody typed; its language is brought to its `canonical` code."""

    text: str
    language: str
    name: str = "typed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "language", canonical(self.language))


@dataclass(frozen=True)
class RetrievedSign:
    """A sign of a lexicon that was found in a sentence.

    word:      entry of the lexicon
    described: for people: for which words, how, and in which recording it was found
    codes:     [K, S], as the model was given them
    """

    word: str
    described: str
    codes: Tensor


@dataclass(frozen=True)
class Explained:
    """How a sentence was signed by a producer of codes.

    streams: S names
    codes:   [K, S] that were generated
    seconds: of a token step
    signs:   that were retrieved; note: why there is none
    """

    motion: Motion
    streams: tuple[str, ...]
    codes: Tensor
    seconds: float
    signs: tuple[RetrievedSign, ...]
    note: str = ""


class Producer(Protocol):
    """Sentences to motion: a generator and its tokenizer, a regressor, the references themselves, a mean pose.

    name:       row of the result table
    layout:     which of a reference's joints and coefficients it can move; it is compared with these
    conditions: what its scores depend on, for their signatures: `layout`, the layout's hash, and where features are
                normalised `statistics`, the hash of theirs

    One that counts what it does, for a test to tell, has `counts`, a Counter, in which a test that goes on adds what it
    counted before it was broken off. One that generates codes has `explain(sentence) -> Explained`. What it makes of a
    sentence depends on no other that it has made something of.
    """

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> MotionLayout: ...

    @property
    def conditions(self) -> Mapping[str, str]: ...

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        """One motion per sentence, in their order, on the CPU. Raises UserError for an empty text or an unknown
        language."""
        ...


class Reader(Protocol):
    """Motion to text: a back-translation model of one sign language.

    hash:     12 hex digits that change with anything that changes its texts
    language: sign language that it reads
    """

    @property
    def hash(self) -> str: ...

    @property
    def language(self) -> str: ...

    def translate(self, motions: Sequence[Motion]) -> list[str]:
        """One text per motion, in their order."""
        ...


class Coder(Protocol):
    """Motion to codes: a tokenizer.

    hash:    12 hex digits that change with anything that changes its codes
    layout:  what it sees of a motion
    streams: name -> number of codes: a part's name, or its name and a number where it has several
    """

    @property
    def hash(self) -> str: ...

    @property
    def layout(self) -> MotionLayout: ...

    @property
    def streams(self) -> Mapping[str, int]: ...

    def encode_motions(self, motions: Sequence[Motion]) -> list[Tensor]:
        """The codes [K, S] of each motion."""
        ...


class Retriever(Protocol):
    """Motions and sentences of one sign language in one space, near each other where they belong together.

    hash:     12 hex digits that change with anything that changes an embedding
    language: sign language
    """

    @property
    def hash(self) -> str: ...

    @property
    def language(self) -> str: ...

    def embed_motions(self, motions: Sequence[Motion]) -> Tensor:
        """[N, D] of length 1, on the CPU, of motions of at least one frame."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """[N, D] of length 1, on the CPU."""
        ...


class ChunkEncoder(Protocol):
    """Chunks of motion to latents, whose distribution tells one set of motions from another.

    hash:  12 hex digits that change with anything that changes a latent
    chunk: frames that are one latent
    fps:   frames per second of the chunks
    """

    @property
    def hash(self) -> str: ...

    @property
    def chunk(self) -> int: ...

    @property
    def fps(self) -> float: ...

    def encode(self, chunks: Tensor) -> np.ndarray:
        """[N, chunk, J, 3] scored joints, each relative to its set's root -> [N, D] float64"""
        ...
