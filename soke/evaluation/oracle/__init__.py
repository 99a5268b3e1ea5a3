"""The oracle: a reader of synthetic corpora that knows the forms of all signs."""
