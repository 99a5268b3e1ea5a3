"""Frame rates of the motions that models make."""
from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)


def rate_of(fps: Mapping[str, float], corpora: Mapping[str, str], language: str, corpus: str | None = None) -> float:
    """Frames per second of motions of a corpus; without one that has a rate, of the language's first.

    fps:     corpus -> frames per second
    corpora: corpus -> its sign language; where it is not there, `fps` is of sign languages
    """
    of_language = {name: rate for name, rate in fps.items() if corpora.get(name, name) == language}
    return of_language.get(corpus, next(iter(of_language.values())))


def warn_of_rates(fps: Mapping[str, float], corpora: Mapping[str, str]) -> None:
    """Warns of sign languages that a model learns at different rates, for it does not read of which corpus a sentence is.

    fps, corpora: as of `rate_of`
    """
    for language in dict.fromkeys(corpora.values()):
        rates = {name: rate for name, rate in fps.items() if corpora.get(name) == language}
        if len(set(rates.values())) > 1:
            log.warning(
                "%s is learnt at different rates (frames/s: %s), and nothing tells the model which of them is meant: what it "
                "signs is too slow or too fast; bring the corpora to one rate, or train a model of each",
                language, ", ".join(f"{name} {rate:g}" for name, rate in rates.items()),
            )
