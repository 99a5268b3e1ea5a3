"""A test bench of metrics: what each says of graded damage, of a second signer, and of what an oracle reads."""
