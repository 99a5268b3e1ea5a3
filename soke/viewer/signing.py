"""Trained systems that sign sentences for the viewer; their models are read while pages are already shown."""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.errors import UserError
from soke.evaluation.protocols import Explained, Producer, Sentence


@dataclass(frozen=True)
class Signed:
    """A motion, how it came about where the system can tell that, and the lexicon's signs that were found, for people."""

    motion: Motion | JointMotion
    explained: Explained | None
    retrieved: str


class Signer:
    """A system that signs.

    load:      () -> its producer; raises UserError where it is not trained
    body:      () -> what its motions pose
    languages: that it has learnt
    """

    def __init__(self, name: str, load: Callable[[], Producer], body: Callable[[], Posed], languages: Sequence[str]):
        self.name, self.body, self.languages = name, body, tuple(languages)
        self._load, self._producer, self._fault = load, None, ""
        self._lock, self._read = threading.Lock(), threading.Event()

    def start(self) -> None:
        """Begins to read the model."""
        threading.Thread(target=self._reading, daemon=True).start()

    def _reading(self) -> None:
        try:
            self._producer = self._load()
        except UserError as error:
            self._fault = str(error)
        except Exception as error:  # whatever it is, pages wait for an end of it
            self._fault = f"{self.name} cannot be read ({type(error).__name__}: {error})"
        finally:
            self._read.set()

    @property
    def status(self) -> str:
        """"" when it is ready to sign; else what it waits for, or why it never will."""
        return self._fault or ("" if self._read.is_set() else f"{self.name} is being read …")

    def sign(self, sentence: Sentence) -> Signed:
        """Waits for the model, and for what it is signing. Raises UserError where it is not trained, and as `produce`
        does."""
        self._read.wait()
        if self._fault:
            raise UserError(self._fault)
        producer = self._producer
        with self._lock:
            explain = getattr(producer, "explain", None)
            if explain is None:
                return Signed(producer.produce([sentence])[0], None, producer.retrieved(sentence))
            explained = explain(sentence)
            found = "\n".join(sign.described for sign in explained.signs) or explained.note
            return Signed(explained.motion, explained, found)
