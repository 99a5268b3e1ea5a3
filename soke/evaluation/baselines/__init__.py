"""Baselines: producers that are as cheap as can be, which a system must beat."""
