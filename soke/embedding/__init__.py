"""Models whose only purpose is to score motion: sentences and motions in one space, chunks of motion as latents."""

from soke.lazy import lazy

_HOMES = {
    "MotionAutoencoder": "soke.embedding.autoencoder",
    "TextMotionRetriever": "soke.embedding.retriever",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
