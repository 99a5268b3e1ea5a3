"""Settings of body models and of the parts of the body."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from soke.settings import Settings

RotationForm = Literal["axis_angle", "6d", "position", "offset"]
POSITIONS: tuple[RotationForm, ...] = ("position", "offset")  # of the joints of a `JointMotion`


@dataclass(frozen=True)
class Body(Settings):
    """model, head_place and teeth: which body, and how SMPL-FX is made; skeleton: see `BodySkeleton`; the rest as of
    `SkinnedBody`"""

    root: str
    model: Literal["smplx", "smplfx"]
    head_place: Literal["eyes", "mean"]
    teeth: bool
    flat_hand_mean: bool
    betas: list[float]
    skeleton: bool

    def problems(self) -> list[str]:
        shapes = len(self.betas)
        if shapes not in (0, 10):
            return [f"`betas` must hold 10 numbers or none, not {shapes}"]
        return [] if all(map(math.isfinite, self.betas)) else ["`betas` must hold finite numbers"]


@dataclass(frozen=True)
class Part(Settings):
    name: str
    joints: list[str] | str
    jaw: bool = False
    expression: int = 0
    eyelids: bool = False
    rotation: RotationForm = "axis_angle"
    mirrors: str | None = None

    @property
    def of_positions(self) -> bool:
        return self.rotation in POSITIONS

    def problems(self) -> list[str]:
        seen = self.joints or self.jaw or self.expression or self.eyelids
        return self.below(0, "expression") + ["`joints` is empty, and there is nothing else"] * (not seen)
