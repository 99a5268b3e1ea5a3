"""Metrics of motion: alignment, dynamic time warping, joint errors, codebook use, and tables of results."""
