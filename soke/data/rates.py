"""Frame rates of the motions that models make."""
from __future__ import annotations

from collections.abc import Mapping


def rate_of(fps: Mapping[str, float], corpora: Mapping[str, str], language: str, corpus: str | None = None) -> float:
    """Frames per second of motions of a corpus; without one that has a rate, of the language's first.

    fps:     corpus -> frames per second
    corpora: corpus -> its sign language; where it is not there, `fps` is of sign languages
    """
    of_language = {name: rate for name, rate in fps.items() if corpora.get(name, name) == language}
    return of_language.get(corpus, next(iter(of_language.values())))
