"""Text to codes: vocabulary, decoding schemes, retrieval, the mBART model and its training."""
