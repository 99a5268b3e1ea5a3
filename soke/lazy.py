"""Names that a package offers and imports where they are used first, so that its settings load no library."""

from __future__ import annotations

import importlib
from typing import Callable, Mapping


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The package's `__getattr__`. homes: name -> the module that it is in"""

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get
