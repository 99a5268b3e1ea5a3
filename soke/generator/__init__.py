"""Text to codes: vocabulary, decoding schemes, retrieval, search, the mBART model and its training."""

from soke.generator.producer import SignProducer
from soke.generator.search import Search

__all__ = ["Search", "SignProducer"]
