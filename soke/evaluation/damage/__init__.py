"""Graded damage: motions made worse in a known way, by which metrics are tested."""
