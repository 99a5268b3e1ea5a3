"""Targets: what a translation model learns to write of a clip."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soke.data.clip import Clip
from soke.text.pseudo_glosses import pseudo_glosses
from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.text.words import Level, text_tokens


@dataclass(frozen=True)
class Targets:
    """The tokens and glosses of clips, and their vocabularies.

    level:   how sentences are cut into tokens
    pseudo:  whether clips without glosses get those that their text implies
    texts:   vocabulary of sentences
    glosses: vocabulary of glosses; None: there are none to learn from
    """

    level: Level
    pseudo: bool
    texts: TextVocabulary
    glosses: GlossVocabulary | None

    @classmethod
    def of(cls, clips: Sequence[Clip], level: Level, pseudo: bool) -> Targets:
        """With the vocabularies of training clips."""
        glossed = [found for found in (_glosses(clip, pseudo) for clip in clips) if found is not None]
        texts = TextVocabulary.of(text_tokens(clip.text, level) for clip in clips)
        return cls(level, pseudo, texts, GlossVocabulary.of(glossed) if glossed else None)

    def tokens_of(self, clip: Clip) -> list[str]:
        return text_tokens(clip.text, self.level)

    def glosses_of(self, clip: Clip) -> list[str] | None:
        """As the corpus writes them, or pseudo-glosses; None where there is nothing to learn from."""
        return None if self.glosses is None else _glosses(clip, self.pseudo)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; `Targets.from_dict` is the inverse."""
        glosses = None if self.glosses is None else list(self.glosses.tokens)
        return {"level": self.level, "pseudo": self.pseudo, "texts": list(self.texts.tokens), "glosses": glosses}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Targets:
        glosses = None if values["glosses"] is None else GlossVocabulary(values["glosses"])
        return cls(values["level"], values["pseudo"], TextVocabulary(values["texts"]), glosses)


def _glosses(clip: Clip, pseudo: bool) -> list[str] | None:
    if clip.gloss:
        return clip.gloss.split()
    return pseudo_glosses(clip.text, clip.language) if pseudo else None
