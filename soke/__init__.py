"""A framework for 3D sign language production: text in, the motion of a signing body out."""

__version__ = "0.1.0"
