"""What a score was computed with, in one line: two scores may share a table column only when their lines agree."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

METRICS_VERSION = "1"  # raised whenever a change makes any metric of this package give other numbers


@dataclass(frozen=True)
class Signature:
    """Definition and conditions of a score; what does not apply to a metric stays None.

    name:       metric, for example "DTW-PA-JPE"
    part:       what is scored: "body", "hand", or a part of a tokenizer
    alignment:  "root", "procrustes", or "none"
    joints:     points scored of points aligned, for example "12of144"
    dtw:        variant of the warping, "exact" or "fastdtw"
    units:      units of the values, in the order in which the metric gives them, for example ("m", "mm")
    fps:        frames per second of the scored motion
    body:       body model with what else moves its points, "stand-in,flat-hands" or "skeleton-50"
    layout:     hash of the motion layout
    statistics: hash of the normalisation statistics
    level:      what a text's tokens are: "word", "char" or "jieba"
    library:    signature of the library that computed it, with its version
    judge:      hash of the model that read the motion, or embedded it
    tokenizer:  hash of the tokenizer whose codes are compared
    inputs:     what given files were taken for, with units: "133 rad", "joints m"
    classes:    number of signs of which one is recognised
    candidates: number of clips among which one is found
    chunk:      frames that are one feature
    version:    of the metric's definition
    """

    name: str
    part: str | None = None
    alignment: str | None = None
    joints: str | None = None
    dtw: str | None = None
    units: tuple[str, ...] = ()
    fps: float | None = None
    body: str | None = None
    layout: str | None = None
    statistics: str | None = None
    level: str | None = None
    library: str | None = None
    judge: str | None = None
    tokenizer: str | None = None
    inputs: str | None = None
    classes: int | None = None
    candidates: int | None = None
    chunk: int | None = None
    version: str = METRICS_VERSION

    def __str__(self) -> str:
        """Like sacreBLEU's: DTW-PA-JPE|hand|align:procrustes|joints:21of21|dtw:exact|units:m,mm|fps:25|...|v:1."""
        keyed = {
            "align": self.alignment,
            "joints": self.joints,
            "dtw": self.dtw,
            "units": ",".join(self.units) or None,
            "fps": None if self.fps is None else _text(self.fps),
            "body": self.body,
            "layout": self.layout,
            "stats": self.statistics,
            "level": self.level,
            "judge": self.judge,
            "tokenizer": self.tokenizer,
            "lib": self.library,
            "in": self.inputs,
            "classes": None if self.classes is None else str(self.classes),
            "of": None if self.candidates is None else str(self.candidates),
            "chunk": None if self.chunk is None else str(self.chunk),
            "v": self.version,
        }
        plain = [value for value in (self.name, self.part) if value is not None]
        return "|".join(plain + [f"{key}:{value}" for key, value in keyed.items() if value is not None])

    def column(self, unit: str = "") -> str:
        """Name of the column of a clip's scores, and of plans: `name part unit`, as far as there are such."""
        return " ".join(filter(None, (self.name, self.part, unit)))

    def to_dict(self) -> dict[str, object]:
        """All fields, for JSON; `Signature.from_dict` is the inverse, also after JSON has made lists of tuples."""
        return {**asdict(self), "units": list(self.units)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Signature:
        """Raises TypeError on unknown fields."""
        return cls(**{**values, "units": tuple(values["units"])})


def together(signatures: Sequence[Signature]) -> str:
    """Signatures in one line, where a field holds all the values it has in them."""
    merged = {}
    for field in fields(Signature):
        values = [getattr(signature, field.name) for signature in signatures]
        shown = dict.fromkeys(_text(value) for value in values if value not in (None, ()))
        merged[field.name] = " / ".join(shown) or None
    merged["units"] = (merged["units"],) if merged["units"] else ()
    return str(Signature(**merged))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def differences(a: Signature, b: Signature) -> list[str]:
    """Names of the fields in which two signatures differ."""
    return [field.name for field in fields(Signature) if getattr(a, field.name) != getattr(b, field.name)]


def comparable(a: Signature, b: Signature) -> bool:
    """Whether scores with these signatures may stand in one column."""
    return not differences(a, b)
