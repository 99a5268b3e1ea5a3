"""Settings of regressors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from soke.settings import Settings, TransformerSettings, near

OBJECTIVES = ("mse",)  # what a batch may be trained by; they are made in soke/regressor/objectives.py


@dataclass(frozen=True)
class LangGloss(Settings):
    """Of what writes LangGloss; its other sizes are the regressor's."""

    layers: int
    weight: float
    max_tokens: int

    def problems(self) -> list[str]:
        found = self.below(1, "layers", "max_tokens")
        if not self.weight > 0:
            found.append(f"`weight` must be above 0, or no gloss would be learnt, not {self.weight}")
        return found


@dataclass(frozen=True)
class Regressor(TransformerSettings):
    """Sizes are of a group's encoder and of its decoder, each; `configs/default.yaml` explains every field."""

    source: Literal["text", "prompt", "gloss"]
    prompt_folder: str
    groups: Literal["shared", "per_language"]
    loss: Literal["mse", "l1"]
    counter_weight: float
    counter_noise: float
    just_counter: bool
    noise: float
    future: int
    start: Literal["learnt", "mean"]
    timing: Literal["free", "oracle"]
    max_frames: int
    objectives: dict[str, float]
    lang_gloss: LangGloss | None

    begins_from_trained: ClassVar[bool] = True

    def problems(self) -> list[str]:
        found = super().problems() + self.below(1, "future", "max_frames") + self.below(0, "noise", "counter_noise")
        if not self.counter_weight > 0:
            found.append(f"`counter_weight` must be above 0, or no motion would end, not {self.counter_weight}")
        if self.noise and self.just_counter:
            found.append("`noise` has no effect with `just_counter`, which hides the frames that it is added to")
        if self.prompt_folder and self.source != "prompt":
            found.append(f"`prompt_folder` has no effect with `source`={self.source}: set `source` to prompt")
        if self.lang_gloss is not None and self.groups != "shared":
            found.append(f"`lang_gloss` is for all sign languages together, so `groups` must be shared, not {self.groups}")
        if self.lang_gloss is not None and self.source == "gloss":
            found.append("`lang_gloss` would write the glosses that it reads: set `source` to prompt or text")
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        for name in unknown:
            found.append(f"`objectives` has no {name}, but {', '.join(OBJECTIVES)}{near(name, OBJECTIVES)}")
        shares = self.objectives.values()
        if not unknown and not (all(share >= 0 for share in shares) and 0 < sum(shares) < float("inf")):
            found.append("`objectives` must give each a share of at least 0, not all 0")
        return found

    def training_problems(self, config: Any) -> list[str]:
        found = config.eval.generation_problems()
        if config.train.init and self.groups != "per_language":
            found.append("TRAIN.INIT adds a group for each sign language: set REGRESSOR.GROUPS=per_language")
        return found
