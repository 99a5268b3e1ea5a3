"""Settings of tokenizers: of their networks, of the quantizer of each part, of their training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from soke.body.settings import Part
from soke.errors import UserError
from soke.settings import Settings, SettingsError, near

Bound = Literal["standard", "symmetric"]
LossKind = Literal["smooth_l1", "l2", "l1"]
Reduction = Literal["per_part", "all"]


@dataclass(frozen=True)
class CodebookDefaults(Settings):
    """What quantizers with a codebook share.

    decay: of moving averages, per training batch
    """

    decay: float

    def problems(self) -> list[str]:
        return [] if _is(self.decay, 0, 1) else [f"`decay` must be between 0 and 1, not {self.decay!r}"]


@dataclass(frozen=True, kw_only=True)
class Codebook(CodebookDefaults):
    """codes: size of the codebook"""

    codes: int

    def problems(self) -> list[str]:
        return _no_count("codes", self.codes, 1) + super().problems()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each stream."""
        return (self.codes,)

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of levels of each stream, whose codes are combinations of them; () where they are none."""
        return ((),)


class Ema(Codebook):
    """A codebook that follows the encoder by moving averages."""


class Vq(Codebook):
    """A codebook that is trained by gradient; `decay` is of the counts that tell dead codes."""


@dataclass(frozen=True)
class FsqDefaults(Settings):
    """bound: standard, or symmetric, see `FsqQuantizer`"""

    bound: Bound

    def problems(self) -> list[str]:
        if self.bound in get_args(Bound):
            return []
        return [f"`bound` is {self.bound!r}, but must be one of {', '.join(get_args(Bound))}"]


@dataclass(frozen=True, kw_only=True)
class Fsq(FsqDefaults):
    """Finite scalar quantization.

    levels: of each dimension; a code for every combination
    """

    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        if isinstance(self.levels, list):
            object.__setattr__(self, "levels", tuple(self.levels))
        super().__post_init__()

    def problems(self) -> list[str]:
        found = super().problems()
        levels = self.levels if isinstance(self.levels, tuple) else ()
        if not levels or not all(_is_whole(level) and 2 <= level <= 1000 for level in levels):
            found.append(f"`levels` must list whole numbers from 2 to 1000, as in [8, 5, 5, 5], not {self.levels!r}")
        return found

    @property
    def sizes(self) -> tuple[int, ...]:
        return (math.prod(self.levels),)

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        return (self.levels,)


@dataclass(frozen=True, kw_only=True)
class Residual(Settings):
    """So many quantizers, each of what those before it have left.

    count: how many levels there are, each with a stream of its own
    of:    the quantizer of every level
    """

    count: int
    of: Ema | Vq | Fsq

    def problems(self) -> list[str]:
        found = _no_count("count", self.count, 1)
        if not isinstance(self.of, (Ema, Vq, Fsq)):
            found.append(f"`of` must be a quantizer of one stream, not {self.of!r}")
        return found

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.of.sizes * self.count

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        return self.of.grids * self.count


Quantizer = Ema | Vq | Fsq | Residual
KINDS: dict[str, type[Quantizer]] = {"ema": Ema, "vq": Vq, "fsq": Fsq, "residual": Residual}


def quantizer_of(written: Any, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Quantizer:
    """The quantizer that {kind: ema, codes: 96}, or the like, describes; the inverse of `written_as`.

    defaults: kind -> what is not written. Raises ValueError that lists all that is wrong.
    """
    if not isinstance(written, Mapping) or written.get("kind") not in KINDS:
        kind = written.get("kind") if isinstance(written, Mapping) else None
        got = repr(written) if kind is None else f"{kind!r}{near(str(kind), KINDS)}"
        raise ValueError(f"it needs a kind, one of {', '.join(KINDS)}, as in {{kind: ema, codes: 96}}, not {got}")
    kind, values = written["kind"], {key: value for key, value in written.items() if key != "kind"}
    known = {field.name: field for field in fields(KINDS[kind])}
    values = {**(defaults or {}).get(kind, {}), **values}
    problems = [f"{kind} has no {key}{near(str(key), known)}" for key in values if key not in known]
    problems += [f"{kind} needs {key}" for key, f in known.items() if key not in values and f.default is MISSING]
    if problems:
        raise ValueError("; ".join(problems))
    if kind == "residual":
        values["of"] = quantizer_of(values["of"], defaults)
    return KINDS[kind](**values)


def written_as(quantizer: Quantizer) -> dict[str, Any]:
    """Plain values, with the kind."""
    kind = next(name for name, settings in KINDS.items() if type(quantizer) is settings)
    values = {field.name: getattr(quantizer, field.name) for field in fields(quantizer)}
    plain = {
        key: written_as(value) if isinstance(value, Settings) else list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
    }
    return {"kind": kind, **plain}


def streams_of(quantizers: Mapping[str, Quantizer]) -> dict[str, int]:
    """Part -> its quantizer, in the order of the parts -> name of each stream -> number of codes. The only stream of a
    part is called as the part is, several are numbered."""
    streams = {}
    for part, quantizer in quantizers.items():
        names = [part] if len(quantizer.sizes) == 1 else [f"{part}.{level}" for level in range(len(quantizer.sizes))]
        streams.update(zip(names, quantizer.sizes))
    return streams


@dataclass(frozen=True)
class Networks(Settings):
    """Encoder and decoder of a part; the defaults are SOKE's.

    code_dim:        size of a latent
    width:           channels of the convolutions
    depth:           residual blocks per stage
    dilation_growth: ratio of the dilations of neighbouring blocks
    downsample:      frames per step, a power of two
    """

    code_dim: int = 512
    width: int = 512
    depth: int = 3
    dilation_growth: int = 3
    downsample: int = 4

    def problems(self) -> list[str]:
        down = self.downsample
        return [f"`downsample` must be a power of two, not {down}"] if down < 1 or down & (down - 1) else []

    def steps(self, frames: Any) -> Any:
        """Whole token steps of so many frames, a number or a tensor of numbers."""
        return frames // self.downsample

    def frames(self, steps: Any) -> Any:
        """Frames of so many token steps, a number or a tensor of numbers."""
        return steps * self.downsample


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Networks):
    """One part's autoencoder: its networks, and its quantizer."""

    quantizer: Quantizer

    def to_dict(self) -> dict[str, Any]:
        """Plain values. Those of an EMA codebook stand beside the others, as they did when there was no other kind:
        hashes of tokenizers depend on it."""
        networks = {field.name: getattr(self, field.name) for field in fields(Networks)}
        if type(self.quantizer) is Ema:
            return {"num_codes": self.quantizer.codes, **networks, "decay": self.quantizer.decay}
        return {"quantizer": written_as(self.quantizer), **networks}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> AutoencoderSettings:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        values = dict(plain)
        if "quantizer" in values:
            return cls(**{**values, "quantizer": quantizer_of(values["quantizer"])})
        quantizer = Ema(codes=values.pop("num_codes"), decay=values.pop("decay"))
        return cls(quantizer=quantizer, **values)


@dataclass(frozen=True)
class TokenizedPart(Part):
    """A part of the body, and how it is quantized.

    quantizer: its kind and the settings of this kind; what is not there is as TOKENIZER has it for the kind. None for a
               part that mirrors another, whose quantizer it shares, and where no tokenizer is needed.
    """

    quantizer: dict[str, Any] | None = None

    def problems(self) -> list[str]:
        found = [*super().problems()]
        if "." in self.name:
            found.append(f"`name` must have no dot, which numbers streams, not {self.name!r}")
        if self.mirrors is not None and self.quantizer is not None:
            found.append(f"`quantizer` must not be there: part {self.name} shares that of {self.mirrors}")
        return found


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Networks):
    """Section TOKENIZER: networks of every part, and what quantizers of a kind have in common."""

    moved: ClassVar[dict[str, str]] = {
        "codes": "each part's own, PARTS.<part>.quantizer.codes, as in quantizer: {kind: ema, codes: 96}",
        "ema_decay": "TOKENIZER.EMA.DECAY",
    }
    heeds: ClassVar[tuple[str, ...]] = ("DATASET.TRAIN_ON_LEXICON", "DATASET.CORPORA.*.WEIGHT")
    augmented_by: ClassVar[tuple[str, ...]] = ("speed", "rotation_noise", "position_noise", "mirror")

    path: str
    ema: CodebookDefaults
    vq: CodebookDefaults
    fsq: FsqDefaults

    def quantizer(self, part: TokenizedPart) -> Quantizer:
        """Raises UserError for a part that has none, or one that makes no sense."""
        defaults = {kind: asdict(getattr(self, kind)) for kind in ("ema", "vq", "fsq")}
        try:
            return quantizer_of(part.quantizer, defaults)
        except (ValueError, SettingsError) as error:
            reasons = "; ".join(error.problems) if isinstance(error, SettingsError) else str(error)
            raise UserError(f"PARTS.{part.name}.quantizer: {reasons.replace('`', '')}") from None

    def autoencoders(self, parts: Sequence[TokenizedPart]) -> dict[str, AutoencoderSettings]:
        """Of every part that has its own. Raises UserError as `quantizer` does."""
        networks = {field.name: getattr(self, field.name) for field in fields(Networks)}
        own = [part for part in parts if part.mirrors is None]
        return {part.name: AutoencoderSettings(quantizer=self.quantizer(part), **networks) for part in own}

    def streams(self, parts: Sequence[TokenizedPart]) -> dict[str, int]:
        """Name -> number of codes, as `SignTokenizer.streams`. Raises UserError as `quantizer` does."""
        own = {name: settings.quantizer for name, settings in self.autoencoders(parts).items()}
        return streams_of({part.name: own[part.mirrors or part.name] for part in parts})

    def misfit(self, parts: Sequence[TokenizedPart]) -> list[str]:
        """Why it cannot make codes of these parts, a sentence each, with keys; none: it can."""
        found = []
        for part in parts:
            try:
                if part.mirrors is None:
                    self.quantizer(part)
            except UserError as error:
                found.append(str(error))
        return found

    def training_problems(self, config: Any) -> list[str]:
        return self.misfit(config.parts)


@dataclass(frozen=True)
class Loss(Settings):
    """Weights of the terms of a tokenizer's training, SOKE's by default.

    kind:       distance of features and of velocities, see `reconstruction`
    feature:    of the reconstruction
    velocity:   of the differences between neighbouring frames
    commitment: of the sum over parts of the latents' mean squared distance to what their codes stand for
    codebook:   of the same, as codebooks that are trained by gradient learn by it
    reduction:  how distances of features and of velocities become one number, see `reconstruction`; the commitment's
                share of the loss depends on it
    """

    kind: LossKind = "smooth_l1"
    feature: float = 1.0
    velocity: float = 0.0
    commitment: float = 0.02
    codebook: float = 1.0
    reduction: Reduction = "per_part"

    def problems(self) -> list[str]:
        return self.below(0, "feature", "velocity", "commitment", "codebook")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is(value: Any, above: float, below: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and above < value < below


def _no_count(name: str, value: Any, least: int) -> list[str]:
    fits = _is_whole(value) and value >= least
    return [] if fits else [f"`{name}` must be a whole number of at least {least}, not {value!r}"]
