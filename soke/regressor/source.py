"""What a regressor reads of a sentence: tokens of its text, of a prompt around it, or its glosses."""
from __future__ import annotations

from collections.abc import Callable

from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.text.prompts import SLOT, Prompts
from soke.text.words import words_of


def tokens_of(
    sentence: Sentence, source: str, locale: str, prompts: Prompts | None = None, epoch: int | None = None
) -> list[str]:
    """The tokens of a sentence.

    source:  text, prompt or gloss, see REGRESSOR.SOURCE in configs/default.yaml
    locale:  of its text
    prompts: for sentences without one, where prompts are read
    epoch:   of the training, each of which has other prompts; None: in no training

    Raises UserError for an empty text, and for a clip without the glosses that are to be read.
    """
    if not sentence.text.strip():
        raise UserError(f"{sentence.name}: its text is empty, so there is nothing to sign")
    if source == "prompt":
        return words_of(prompt_of(sentence, prompts, epoch), locale)
    return _SOURCES[source](sentence, locale)


def prompt_of(sentence: Sentence, prompts: Prompts, epoch: int | None = None) -> str:
    """A clip's own prompt, where its corpus has some; else a template around the text."""
    return own_prompt(sentence) or prompts.of(sentence.name, sentence.text, sentence.language, epoch)


def own_prompt(sentence: Sentence) -> str:
    """Empty where there is none."""
    return getattr(sentence, "prompt", None) or ""


def template_tokens(prompts: Prompts, language: str, locale: str) -> list[list[str]]:
    """The tokens of every template of a sign language, without a sentence."""
    return [words_of(template.replace(SLOT, " "), locale) for template in prompts.templates[language]]


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
