"""Back-translation: motion to text, by a Sign Language Transformer, to score generated motion with."""

from soke.translation.translator import BackTranslator

__all__ = ["BackTranslator"]
