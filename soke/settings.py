"""What all settings have in common: they check themselves when they are made.

A section of the configuration is the dataclass of the room that uses it, in its `settings.py`. These modules import
nothing but each other and `soke.errors`, so that a configuration is read before any library is loaded.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Iterable

from soke.errors import UserError


class SettingsError(UserError):
    """Settings that make no sense.

    settings: which, complete all the same
    problems: a sentence each, in which fields stand in backticks
    """

    def __init__(self, settings: Settings, problems: list[str]):
        super().__init__(f"{type(settings).__name__}: {'; '.join(problems)}")
        self.settings, self.problems = settings, problems


class Settings:
    """Base of the dataclasses of settings. Raises SettingsError, with all that is wrong, when one is made.

    adds_languages: whether sign languages can be added to a trained model of the section, so that one of them may start
                    from another's weights, TRAIN.INIT_LANGUAGE
    heeds:          of the keys that mean nothing to some models, those that a training or a test of its model heeds
    augmented_by:   settings of AUGMENT that a training of the section's model uses
    divides:        whether a model of the section is worth being divided among processes, TRAIN.STRATEGY
    """

    adds_languages: ClassVar[bool] = False
    heeds: ClassVar[tuple[str, ...]] = ()
    augmented_by: ClassVar[tuple[str, ...]] = ()
    divides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise SettingsError(self, problems)

    def problems(self) -> list[str]:
        """What is wrong, a sentence each; fields stand in backticks, which the configuration writes as its keys."""
        return []

    def training_problems(self, config: Any) -> list[str]:
        """What of the whole configuration speaks against training this section's model, a sentence each, with keys."""
        return []

    def below(self, least: float, *fields: str) -> list[str]:
        """A problem for each field that is below `least`, infinite or no number."""
        values = {field: getattr(self, field) for field in fields}
        return [
            f"`{field}` must be {'' if math.isfinite(value) else 'a finite number of '}at least {least}, not {value}"
            for field, value in values.items() if not least <= value < math.inf
        ]

    def no_share(self, *fields: str) -> list[str]:
        """A problem for each field that is not between 0 and 1."""
        values = {field: getattr(self, field) for field in fields}
        return [
            f"`{field}` must be between 0 and 1, not {value}" for field, value in values.items() if not 0 <= value <= 1
        ]


@dataclass(frozen=True)
class TransformerSettings(Settings):
    """Sizes of a transformer, as a saved model holds them."""

    width: int
    layers: int
    heads: int
    feedforward: int
    dropout: float

    def problems(self) -> list[str]:
        found, heads = self.below(1, "layers", "heads", "feedforward", "width"), max(self.heads, 1)
        if self.width % 2 or self.width % heads:
            found.append(f"`width` must be even and a multiple of `heads` ({heads}), not {self.width}")
        if not 0 <= self.dropout < 1:
            found.append(f"`dropout` must be at least 0 and below 1, not {self.dropout}")
        return found


def near(name: str, valid: Iterable[Any]) -> str:
    """" (did you mean NAME?)" with the nearest of the valid names; empty where none is near."""
    spelled = {str(v).lower(): v for v in valid}
    found = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.5)
    return f" (did you mean {spelled[found[0]]}?)" if found else ""
