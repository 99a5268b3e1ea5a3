"""Targets: what a translation model learns to write of a clip."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from soke.data.clip import Clip
from soke.text.pseudo_glosses import pseudo_glosses
from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.text.words import Level, text_tokens


@dataclass(frozen=True)
class Targets:
    """The tokens and glosses of clips, and their vocabularies.

    locale:  of the texts
    level:   how sentences are cut into tokens
    pseudo:  whether clips without glosses get those that their text implies
    texts:   vocabulary of sentences
    glosses: vocabulary of glosses; None: there are none to learn from
    """

    locale: str
    level: Level
    pseudo: bool
    texts: TextVocabulary
    glosses: GlossVocabulary | None

    @classmethod
    def of(cls, clips: Sequence[Clip], locale: str, level: Level, pseudo: bool) -> Targets:
        """With the vocabularies of training clips."""
        glossed = [found for found in (_glosses(clip, pseudo, locale) for clip in clips) if found is not None]
        texts = TextVocabulary.of(text_tokens(clip.text, level) for clip in clips)
        return cls(locale, level, pseudo, texts, GlossVocabulary.of(glossed) if glossed else None)

    def following(self, trained: Targets) -> Targets:
        """With the vocabularies of a trained model of the same sign language, behind which new tokens come; where texts
        are cut otherwise, or there are no glosses, they are as they are."""
        texts, glosses = self.texts, self.glosses
        if trained.level == self.level:
            texts = trained.texts.with_new(texts.tokens)
        if glosses is not None and trained.glosses is not None:
            glosses = trained.glosses.with_new(glosses.tokens)
        return replace(self, texts=texts, glosses=glosses)

    def tokens_of(self, clip: Clip) -> list[str]:
        return text_tokens(clip.text, self.level)

    def glosses_of(self, clip: Clip) -> list[str] | None:
        """As the corpus writes them, or pseudo-glosses; None where there is nothing to learn from."""
        return None if self.glosses is None else _glosses(clip, self.pseudo, self.locale)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON, of all but the locale, on which no translation depends."""
        glosses = None if self.glosses is None else list(self.glosses.tokens)
        return {"level": self.level, "pseudo": self.pseudo, "texts": list(self.texts.tokens), "glosses": glosses}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], locale: str) -> Targets:
        """What `to_dict` gave."""
        glosses = None if values["glosses"] is None else GlossVocabulary(values["glosses"])
        return cls(locale, values["level"], values["pseudo"], TextVocabulary(values["texts"]), glosses)


def _glosses(clip: Clip, pseudo: bool, locale: str) -> list[str] | None:
    if clip.gloss:
        return clip.gloss.split()
    return pseudo_glosses(clip.text, locale) if pseudo else None
