"""What a regressor reads of a sentence: tokens of its text, or its glosses."""
from __future__ import annotations

from collections.abc import Callable

from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.text.words import words_of


def tokens_of(sentence: Sentence, source: str, locale: str) -> list[str]:
    """The tokens of a sentence.

    source: text or gloss, see REGRESSOR.SOURCE in configs/default.yaml
    locale: of its text

    Raises UserError for an empty text, and for a clip without the glosses that are to be read.
    """
    if not sentence.text.strip():
        raise UserError(f"{sentence.name}: its text is empty, so there is nothing to sign")
    return _SOURCES[source](sentence, locale)


def language_token(language: str) -> str:
    """What says in which sign language a sentence is to be signed."""
    return f"<{language}>"


def _words(sentence: Sentence, locale: str) -> list[str]:
    return words_of(sentence.text, locale)


def _glosses(sentence: Sentence, locale: str) -> list[str]:
    """Of a clip as the corpus writes them; a sentence without a clip consists of glosses."""
    glosses = getattr(sentence, "gloss", sentence.text)
    if not glosses:
        raise UserError(
            f"clip {sentence.name} has no glosses, which `regressor.source`=gloss reads: leave out corpora without, or "
            "read text"
        )
    return glosses.split()


_SOURCES: dict[str, Callable[[Sentence, str], list[str]]] = {"text": _words, "gloss": _glosses}
