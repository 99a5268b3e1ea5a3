"""Synthetic corpora: small sign languages invented for testing, in the on-disk layouts of the public corpora."""
