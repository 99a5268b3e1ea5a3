"""Back-translation: motion to text, by a Sign Language Transformer, to score generated motion with."""

from soke.lazy import lazy

_HOMES = {
    "BackTranslator": "soke.translation.translator",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
