"""Metrics of motion and of text: alignment, dynamic time warping, joint errors, codebook use, BLEU, and tables."""
