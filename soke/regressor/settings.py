"""Settings of regressors, and of the rewards by which their clips are weighted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from soke.settings import Settings, TransformerSettings, near

OBJECTIVES = ("mse", "plc", "rwr")  # what a batch may be trained by; soke/regressor/objectives.py says what they are
FORMS = ("exp", "inverse", "rank")
_PRINTED = ("power", "printed", "r^eta", "r**eta", "r^η", "r**η")


@dataclass(frozen=True)
class LangGloss(Settings):
    """Of what writes LangGloss; its other sizes are the regressor's."""

    layers: int
    weight: float
    max_tokens: int

    def problems(self) -> list[str]:
        found = self.below(1, "layers", "max_tokens")
        if not 0 < self.weight < math.inf:
            found.append(f"`weight` must be a finite number above 0, or no gloss would be learnt, not {self.weight}")
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

    adds_languages: ClassVar[bool] = True
    heeds: ClassVar[tuple[str, ...]] = ("LOGGER.PICTURES", "TEST.BASELINES", "DATASET.CORPORA.*.WEIGHT")
    augmented_by: ClassVar[tuple[str, ...]] = ("speed", "rotation_noise", "position_noise", "mirror")

    def problems(self) -> list[str]:
        found = super().problems() + self.below(1, "future", "max_frames") + self.below(0, "noise", "counter_noise")
        if not 0 < self.counter_weight < math.inf:
            found.append(
                f"`counter_weight` must be a finite number above 0, or no motion would end, not {self.counter_weight}"
            )
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
        if not unknown:
            found += objective_problems(self.objectives)
        return found

    def training_problems(self, config: Any) -> list[str]:
        found = config.eval.generation_problems()
        if config.train.init_language and self.groups != "per_language":
            found.append(
                "TRAIN.INIT_LANGUAGE names a group for new ones to start from, but there is one for all sign languages: "
                "set REGRESSOR.GROUPS=per_language"
            )
        return found


@dataclass(frozen=True)
class Priority(Settings):
    """How the objectives `plc` and `rwr` use rewards. Values that SignLLM does not give are [A].

    form, eta, temperature: of `soke.regressor.priority.priorities`; rwr has the temperature alone
    quantile: clips below this quantile of the last rewards are skipped; the paper's "less than 50 %"
    window:   rewards that are remembered
    warmup:   epochs in which nothing is skipped
    by:       what is skipped: single clips, or whole batches by their mean reward
    """

    form: str
    eta: float
    temperature: float
    quantile: float
    window: int
    warmup: int
    by: Literal["sample", "batch"]

    def problems(self) -> list[str]:
        found = form_problems(self.form) + self.below(0, "warmup") + self.below(1, "window")
        if not 0 <= self.eta < math.inf:
            found.append(f"`eta` must be a finite number of at least 0, not {self.eta}")
        if not 0 < self.temperature < math.inf:
            found.append(f"`temperature` must be a finite number above 0, not {self.temperature}")
        if not 0 <= self.quantile < 1:
            found.append(f"`quantile` must be at least 0, and below 1, where all would be skipped, not {self.quantile}")
        return found


def form_problems(form: str) -> list[str]:
    """What speaks against a form of priorities, in at most one sentence."""
    if form.lower().replace(" ", "") in _PRINTED:
        return [
            f"`form`={form}, the printed P ~ r ** eta, is undefined for rewards up to 0, and negative errors are no "
            f"others: choose one of {', '.join(FORMS)}"
        ]
    return [] if form in FORMS else [f"`form` is {form}, but must be one of {', '.join(FORMS)}{near(form, FORMS)}"]


def objective_problems(shares: Mapping[str, float]) -> list[str]:
    """What speaks against a share of the batches for each objective, in at most one sentence."""
    values = list(shares.values())
    if all(0 <= value <= 1 for value in values) and math.isclose(sum(values), 1.0, abs_tol=1e-6):
        return []
    given = ", ".join(f"{kind} {value:g}" for kind, value in shares.items()) or "none"
    return [f"`objectives` must give shares of the batches from 0 to 1 that add up to 1, not {given}"]
