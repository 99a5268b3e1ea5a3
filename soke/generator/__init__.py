"""Text to codes: vocabulary, decoding schemes, retrieval, search, the mBART model and its training."""

from soke.lazy import lazy

_HOMES = {
    "Search": "soke.generator.settings",
    "SignProducer": "soke.generator.producer",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
