"""Settings of pictures and videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from soke.settings import Settings


@dataclass(frozen=True)
class Render(Settings):
    size: int
    backend: Literal["auto", "vtk", "software"]

    def problems(self) -> list[str]:
        return self.below(16, "size")
