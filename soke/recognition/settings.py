"""Settings of the recognition of isolated signs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Sequence

from soke.settings import Settings, TransformerSettings


@dataclass(frozen=True)
class Window(Settings):
    """Which frames of a clip are signed, see `soke.recognition.window`; all values are ours, for no paper states one.

    height:       a hand is up when its wrist is so high, in torsos: 0 at the hips, 1 at the shoulders
    displacement: and when it is so far from its rest, in shoulder widths
    rest_frames:  a hand's rest is its median place in so many frames of each end
    close:        breaks of at most so many frames between active ones count as active
    shortest:     active runs of fewer frames do not count
    least:        a clip with fewer active frames is kept whole
    pad:          frames that are kept before and after
    """

    height: float
    displacement: float
    rest_frames: int
    close: int
    shortest: int
    least: int
    pad: int

    def problems(self) -> list[str]:
        return self.below(0, "displacement", "close", "pad") + self.below(1, "rest_frames", "shortest", "least")


@dataclass(frozen=True)
class ClassifierSettings(TransformerSettings):
    """Sizes of the transformer and of the MLP behind it (`hidden`), as a saved model holds them."""

    hidden: int

    def problems(self) -> list[str]:
        return super().problems() + self.below(1, "hidden")


@dataclass(frozen=True)
class Recognition(ClassifierSettings):
    heeds: ClassVar[tuple[str, ...]] = ("TRAIN.LABEL_SMOOTHING",)

    parts: list[str]
    val_share: float
    features: str
    window: Window | None

    def problems(self) -> list[str]:
        found = super().problems()
        if not 0 < self.val_share < 1:
            found.append(f"`val_share` must be above 0 and below 1, not {self.val_share}")
        if len(set(self.parts)) < len(self.parts):
            found.append(f"`parts` names a part twice: {', '.join(self.parts)}")
        return found

    @property
    def classifier(self) -> ClassifierSettings:
        """The sizes alone."""
        return ClassifierSettings(**{field.name: getattr(self, field.name) for field in fields(ClassifierSettings)})

    def seen(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Of a tokenizer's parts those that are seen, in the tokenizer's order."""
        return tuple(part for part in parts if not self.parts or part in self.parts)

    def training_problems(self, config: Any) -> list[str]:
        found, parts = config.tokenizer.misfit(config.parts), [part.name for part in config.parts]
        unknown = [part for part in self.parts if part not in parts]
        if unknown:
            found.append(f"RECOGNITION.PARTS names {', '.join(unknown)}, but the PARTS are {', '.join(parts)}")
        if not config.tokenizer.path:
            found.append(
                "TOKENIZER.PATH is empty: recognition reads the encoders of a trained tokenizer, name its folder"
            )
        if config.train.batch_frames:
            found.append(
                "TRAIN.BATCH_FRAMES must be 0 for recognition, whose batches are of TRAIN.BATCH_SIZE clips, not "
                f"{config.train.batch_frames}"
            )
        if len(config.dataset.corpora) != 1:
            found.append(
                "recognition learns the signs of one corpus, but DATASET.CORPORA names "
                f"{', '.join(config.dataset.corpora)}; null for a corpus leaves it out"
            )
        return found
