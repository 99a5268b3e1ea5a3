"""The one exception for what a user can mend: entry points print its sentence without a traceback."""
from __future__ import annotations


class UserError(Exception):
    """A mistake in files, configuration or arguments; the message names the cause and the remedy in one sentence."""
