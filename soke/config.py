"""Configuration: YAML files that inherit, checked against the dataclasses below before anything is built.

Nothing here imports torch, so that `--help` and every configuration error answer at once. `configs/default.yaml`
says what each key means.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Literal

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from soke.errors import UserError
from soke.storage import read_text

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = ROOT / "configs" / "default.yaml"

Stage = Literal["tokenizer", "generator", "translation"]
KNOWN_CORPORA = ("how2sign", "csl", "phoenix", "nmfs_csl")


@dataclass
class Optim:
    LR: float
    BETAS: list[float]
    WEIGHT_DECAY: float
    ETA_MIN: float
    WARMUP_EPOCHS: int


@dataclass
class Train:
    STAGE: Stage
    BATCH_SIZE: int
    BATCH_FRAMES: int
    NUM_WORKERS: int
    END_EPOCH: int
    PRECISION: Literal["32-true", "bf16-mixed", "16-mixed"]
    GRAD_CLIP: float
    ACCUMULATE: int
    CHECKPOINTING: bool
    LABEL_SMOOTHING: float
    RESUME: str
    EXTEND: bool
    OPTIM: Optim


@dataclass
class Eval:
    BATCH_SIZE: int
    EVERY_EPOCHS: int
    GENERATE_EVERY: int
    GENERATE_CLIPS: int


@dataclass
class SearchConfig:
    METHOD: Literal["greedy", "sample", "beam"]
    TEMPERATURE: float
    TOP_K: int
    TOP_P: float
    SEED: int
    BEAMS: int
    LENGTH_PENALTY: float
    MIN_STEPS: int
    NO_REPEAT: int


@dataclass
class Test:
    BATCH_SIZE: int
    SPLIT: Literal["train", "val", "test"]
    CHECKPOINT: str
    SAVE_PREDICTIONS: bool
    WEIGHTS: Literal["float32", "bfloat16"]
    COMPILE: bool
    SEARCH: SearchConfig


@dataclass
class CorpusConfig:
    ROOT: str
    PACKED: str = ""
    READER: str = ""
    WEIGHT: float = 1.0


@dataclass
class Dataset:
    CORPORA: dict[str, CorpusConfig]
    LEXICON: str | None
    TRAIN_ON_LEXICON: bool
    CODE_PATH: str
    STATISTICS: str
    MIN_FRAMES: int
    MAX_FRAMES: int
    STRICT: bool
    CACHE_FRAMES: int
    GROUP_BY_LENGTH: bool


@dataclass
class Body:
    ROOT: str
    FLAT_HAND_MEAN: bool
    BETAS: list[float]


@dataclass
class Part:
    name: str
    joints: list[str]
    jaw: bool = False
    expression: int = 0
    eyelids: bool = False
    rotation: Literal["axis_angle", "6d", "position"] = "axis_angle"
    mirrors: str | None = None


@dataclass
class Tokenizer:
    PATH: str
    CODES: dict[str, int]
    CODE_DIM: int
    WIDTH: int
    DEPTH: int
    DILATION_GROWTH: int
    DOWNSAMPLE: int
    EMA_DECAY: float


@dataclass
class Loss:
    FEATURE: float
    VELOCITY: float
    COMMITMENT: float
    REDUCTION: Literal["per_part", "all"]


@dataclass
class Retrieval:
    WORDS: int
    STEPS: int
    MATCH: Literal["token", "soke_substring"]
    SIMILAR: float
    RECORDING: Literal["first", "longest", "shortest", "medoid"]
    KEYWORDS: str
    WORD_CODES: str
    FORM: Literal["interleaved", "fused"]
    DROP: float


@dataclass
class Generator:
    MBART: str
    DECODING: Literal["multi_head", "sequential", "parallel"]
    HEADS: Literal["separate", "tied"]
    FUSION: dict[str, float] | None
    MAX_STEPS: int
    MAX_SOURCE: int
    TRANSLATION: float
    RETRIEVAL: Retrieval


@dataclass
class Translation:
    WIDTH: int
    LAYERS: int
    HEADS: int
    FEEDFORWARD: int
    DROPOUT: float
    LEVEL: Literal["auto", "word", "char", "jieba"]
    GLOSS_WEIGHT: float
    TEXT_WEIGHT: float
    PSEUDO_GLOSSES: bool
    MAX_TOKENS: int
    BEAMS: list[int]
    LENGTH_PENALTIES: list[float]
    PATIENCE: int
    DECAY: float


@dataclass
class Metric:
    DTW: Literal["exact", "fastdtw"]
    LEVEL: Literal["auto", "word", "char", "jieba"]
    BACK_TRANSLATION: str


@dataclass
class Logger:
    TENSORBOARD: bool
    WANDB: bool
    EVERY_STEPS: int


@dataclass
class Render:
    SIZE: int
    BACKEND: Literal["auto", "pyvista", "software"]


@dataclass
class Config:
    NAME: str
    SEED: int
    ACCELERATOR: str
    DEVICE: list[int] | int | str
    NUM_NODES: int
    FOLDER: str
    RESULTS: str
    TRAIN: Train
    EVAL: Eval
    TEST: Test
    DATASET: Dataset
    BODY: Body
    PARTS: list[Part]
    TOKENIZER: Tokenizer
    LOSS: Loss
    GENERATOR: Generator
    TRANSLATION: Translation
    METRIC: Metric
    LOGGER: Logger
    RENDER: Render

    @property
    def run_folder(self) -> Path:
        """Where this stage's run writes: `FOLDER`/<stage>/<NAME>."""
        return resolve(self.FOLDER) / self.TRAIN.STAGE / self.NAME

    def per_model(self) -> list[Config]:
        """This configuration, or for back-translation one per corpus: each has its own model, <NAME>/<corpus>."""
        if self.TRAIN.STAGE != "translation":
            return [self]
        return [
            dataclasses.replace(
                self, NAME=f"{self.NAME}/{name}", DATASET=dataclasses.replace(self.DATASET, CORPORA={name: corpus})
            )
            for name, corpus in self.DATASET.CORPORA.items()
        ]  # fmt: skip

    @property
    def distinct_parts(self) -> list[str]:
        """Names of the parts that have a tokenizer of their own."""
        return [part.name for part in self.PARTS if part.mirrors is None]


def resolve(path: str | Path) -> Path:
    """A path of a configuration: absolute, or relative to the repository, never to the caller's folder."""
    return ROOT / Path(path).expanduser()


def load_config(file: str | Path, assets: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Defaults, then `file` with its BASE files, then `assets`, then `KEY.SUB=value` overrides; checked.

    Raises UserError that lists everything that is wrong, with the nearest valid name of every unknown key.
    """
    merged = _read(DEFAULTS)
    for layer in (file, assets):
        if layer is not None:
            merged = OmegaConf.merge(merged, _read(_find(layer)))
    try:
        merged = OmegaConf.merge(merged, *(_override(item) for item in overrides))
        plain = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration cannot be read: {str(error).splitlines()[0]}") from None
    problems: list[str] = []
    config = _checked(plain, Config, "", problems)
    problems += _unknown_corpora(plain)
    if not problems:
        problems = _contradictions(config)
    if problems:
        raise UserError(f"{file}: " + "; ".join(problems))
    return config


def to_yaml(config: Config) -> str:
    """The whole configuration as YAML that `load_config` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def _find(file: str | Path) -> Path:
    """A file that the user names on the command line: relative to where he is, or to the repository."""
    here = Path(file).expanduser()
    path = here if here.is_file() else ROOT / here
    if not path.is_file():
        near = difflib.get_close_matches(
            str(file), [str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.yaml")]
        )
        raise UserError(f"no configuration file {file}" + (f"; did you mean {near[0]}?" if near else ""))
    return path


def _read(path: Path, seen: tuple[Path, ...] = ()) -> DictConfig:
    if path in seen:
        raise UserError(f"{path}: BASE leads back to itself")
    text = read_text(path)
    try:
        own = OmegaConf.create(text)
    except Exception as error:  # PyYAML raises many kinds; all say where in the file
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(own, DictConfig):
        raise UserError(f"{path} must hold KEY: value pairs")
    bases = own.pop("BASE", None) or []
    bases = [bases] if isinstance(bases, str) else bases
    merged = OmegaConf.create()
    for base in bases:
        file = resolve(base)
        if not file.is_file():
            raise UserError(f"{path}: its BASE {base} does not exist")
        merged = OmegaConf.merge(merged, _read(file, (*seen, path)))
    return OmegaConf.merge(merged, own)


def _override(item: str) -> DictConfig:
    """KEY.SUB=value. Where the key holds text, the value is taken as it is, or without the quotes around it, whatever
    is in it; elsewhere it is YAML. null, or no value, is null where that may be."""
    key, equals, value = item.partition("=")
    if not equals or item.startswith("-"):
        raise UserError(f"{item} is no override: write KEY.SUB=value, as in TRAIN.BATCH_SIZE=16")
    kinds = _kinds(key)
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    if value in ("", "null") and type(None) in kinds:
        value = "null"
    elif value == "" or (_are_text(kinds) and not quoted):
        value = "'" + value.replace("'", "''") + "'"
    try:
        return OmegaConf.from_dotlist([f"{key}={value}"])
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise UserError(f"{item} cannot be read ({problem}): put quotes around texts in lists and in {{}}") from None


def _kinds(key: str) -> tuple[Any, ...]:
    """What a dotted key may hold; nothing where there is no such key."""
    kind: Any = Config
    for name in key.split("."):
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(name)
        else:
            kind = typing.get_args(kind)[1] if typing.get_origin(kind) is dict else None
    if kind is None:
        return ()
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _are_text(kinds: tuple[Any, ...]) -> bool:
    return bool(kinds) and all(k in (str, type(None)) or typing.get_origin(k) is Literal for k in kinds)


def _checked(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """`value` as `kind`, with every problem noted under the dotted `path`."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        attempts = []
        for option in (a for a in args if a is not type(None)):
            tried: list[str] = []
            result = _checked(value, option, path, tried)
            if not tried:
                return result
            attempts.append(tried)
        problems.extend(min(attempts, key=len))
    elif origin is Literal:
        if value in args:
            return value
        problems.append(
            f"{path} is {value!r}, but must be one of {', '.join(map(str, args))}" + _near(str(value), args)
        )
    elif origin is list:
        if isinstance(value, list):
            return [_checked(item, args[0], f"{path}[{i}]", problems) for i, item in enumerate(value)]
        problems.append(f"{path} must be a list, not {value!r}")
    elif origin is dict:
        if isinstance(value, dict):
            for key in value:
                _checked(key, args[0], f"the name of {path}.{key}", problems)
            kept = {key: item for key, item in value.items() if item is not None}  # null takes out what a BASE has
            return {key: _checked(item, args[1], f"{path}.{key}", problems) for key, item in kept.items()}
        problems.append(f"{path} must hold KEY: value pairs, not {value!r}")
    elif dataclasses.is_dataclass(kind):
        return _checked_section(value, kind, path, problems)
    elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    else:
        problems.append(f"{path} must be {_KINDS.get(kind, kind)}, not {value!r}")
    return None


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _checked_section(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{path} must hold KEY: value pairs, not {value!r}")
        return None
    hints = typing.get_type_hints(kind)
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in hints:
            problems.append(f"unknown key {prefix}{key}" + _near(str(key), hints))
    known = {key: _checked(value[key], hints[key], f"{prefix}{key}", problems) for key in hints if key in value}
    missing = [
        f.name for f in dataclasses.fields(kind)
        if f.name not in known and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    problems.extend(f"{prefix}{key} is missing" for key in missing)
    return None if missing else kind(**known)


def _near(name: str, valid: Iterable[Any]) -> str:
    near = difflib.get_close_matches(name.lower(), {str(v).lower(): v for v in valid}, n=1, cutoff=0.5)
    return f" (did you mean {({str(v).lower(): v for v in valid})[near[0]]}?)" if near else ""


def _unknown_corpora(plain: dict) -> list[str]:
    dataset = plain.get("DATASET")
    corpora = dataset.get("CORPORA") if isinstance(dataset, dict) else None
    return [
        f"DATASET.CORPORA.{name} is none of {', '.join(KNOWN_CORPORA)}{_near(name, KNOWN_CORPORA)}; a corpus of your "
        f"own needs DATASET.CORPORA.{name}.READER, the class that reads it, as package.module.Class"
        for name, corpus in (corpora.items() if isinstance(corpora, dict) else ())
        if name not in KNOWN_CORPORA and isinstance(corpus, dict) and not corpus.get("READER")
    ]


def _contradictions(config: Config) -> list[str]:
    """Combinations that no run could make sense of."""
    problems = []
    if config.TRAIN.STAGE != "translation" and set(config.TOKENIZER.CODES) != set(config.distinct_parts):
        problems.append(
            f"TOKENIZER.CODES names {', '.join(config.TOKENIZER.CODES) or 'no part'}, "
            f"but the tokenized parts are {', '.join(config.distinct_parts)}"
        )
    down = config.TOKENIZER.DOWNSAMPLE
    if down < 1 or down & (down - 1):
        problems.append(f"TOKENIZER.DOWNSAMPLE must be a power of two, not {down}")
    elif config.DATASET.MIN_FRAMES < down or config.DATASET.MIN_FRAMES % down or config.DATASET.MAX_FRAMES % down:
        problems.append(f"DATASET.MIN_FRAMES and DATASET.MAX_FRAMES must be multiples of TOKENIZER.DOWNSAMPLE ({down})")
    if config.DATASET.MIN_FRAMES > config.DATASET.MAX_FRAMES:
        problems.append("DATASET.MIN_FRAMES is above DATASET.MAX_FRAMES")
    if not config.DATASET.CORPORA:
        problems.append("DATASET.CORPORA is empty: name at least one corpus")
    fusion = config.GENERATOR.FUSION
    names = [part.name for part in config.PARTS]
    if fusion is not None and (set(fusion) != set(names) or min(fusion.values()) < 0 or sum(fusion.values()) <= 0):
        problems.append(f"GENERATOR.FUSION must give each of {', '.join(names)} a weight of at least 0, not all 0")
    retrieval = config.GENERATOR.RETRIEVAL
    for key, share in (
        ("RETRIEVAL.SIMILAR", retrieval.SIMILAR), ("RETRIEVAL.DROP", retrieval.DROP),
        ("TRANSLATION", config.GENERATOR.TRANSLATION),
    ):  # fmt: skip
        if not 0 <= share <= 1:
            problems.append(f"GENERATOR.{key} must be between 0 and 1, not {share}")
    if retrieval.SIMILAR and retrieval.MATCH != "token":
        problems.append("GENERATOR.RETRIEVAL.SIMILAR needs GENERATOR.RETRIEVAL.MATCH=token")
    sources = config.DATASET.LEXICON, retrieval.WORD_CODES or None
    if config.TRAIN.STAGE == "generator" and retrieval.WORDS and retrieval.KEYWORDS and sources == (None, None):
        problems.append(
            "GENERATOR.RETRIEVAL.KEYWORDS needs signs: set DATASET.LEXICON or GENERATOR.RETRIEVAL.WORD_CODES"
        )
    if len(config.BODY.BETAS) not in (0, 10):
        problems.append(f"BODY.BETAS must hold 10 numbers or none, not {len(config.BODY.BETAS)}")
    for key, value in (
        ("TRAIN.BATCH_SIZE", config.TRAIN.BATCH_SIZE), ("TRAIN.END_EPOCH", config.TRAIN.END_EPOCH),
        ("TRAIN.ACCUMULATE", config.TRAIN.ACCUMULATE), ("EVAL.GENERATE_CLIPS", config.EVAL.GENERATE_CLIPS),
        ("EVAL.BATCH_SIZE", config.EVAL.BATCH_SIZE), ("EVAL.EVERY_EPOCHS", config.EVAL.EVERY_EPOCHS),
        ("TEST.BATCH_SIZE", config.TEST.BATCH_SIZE), ("GENERATOR.MAX_STEPS", config.GENERATOR.MAX_STEPS),
        ("NUM_NODES", config.NUM_NODES), ("LOGGER.EVERY_STEPS", config.LOGGER.EVERY_STEPS),
    ):  # fmt: skip
        if value < 1:
            problems.append(f"{key} must be at least 1, not {value}")
    return problems + _training_problems(config) + _translation_problems(config)


def _training_problems(config: Config) -> list[str]:
    problems = []
    train, every = config.TRAIN, config.EVAL.EVERY_EPOCHS
    longest = config.DATASET.MAX_FRAMES
    if train.BATCH_FRAMES and train.BATCH_FRAMES < longest:
        problems.append(
            f"TRAIN.BATCH_FRAMES must be 0, or hold the longest clip, DATASET.MAX_FRAMES ({longest}), not "
            f"{train.BATCH_FRAMES}"
        )
    if train.BATCH_FRAMES and not config.DATASET.GROUP_BY_LENGTH:
        problems.append("TRAIN.BATCH_FRAMES needs DATASET.GROUP_BY_LENGTH=true")
    problems += [
        f"DATASET.CORPORA.{name}.WEIGHT must be a number above 0, not {corpus.WEIGHT}; null for a corpus leaves it out"
        for name, corpus in config.DATASET.CORPORA.items() if not 0 < corpus.WEIGHT < math.inf
    ]  # fmt: skip
    if train.GRAD_CLIP < 0:
        problems.append(f"TRAIN.GRAD_CLIP must be a gradient norm, or 0 for no clipping, not {train.GRAD_CLIP}")
    if not 0 <= train.LABEL_SMOOTHING < 1:
        problems.append(f"TRAIN.LABEL_SMOOTHING must be at least 0 and below 1, not {train.LABEL_SMOOTHING}")
    if not 0 <= train.OPTIM.WARMUP_EPOCHS < max(train.END_EPOCH, 1):
        problems.append(
            f"TRAIN.OPTIM.WARMUP_EPOCHS must be at least 0 and below TRAIN.END_EPOCH ({train.END_EPOCH}), "
            f"not {train.OPTIM.WARMUP_EPOCHS}"
        )
    generate = config.EVAL.GENERATE_EVERY
    if train.STAGE == "generator" and every >= 1 and (generate < 0 or generate % every):
        problems.append(
            f"EVAL.GENERATE_EVERY must be a multiple of EVAL.EVERY_EPOCHS ({every}), or 0 for never, not {generate}"
        )
    return problems


def _translation_problems(config: Config) -> list[str]:
    problems, t = [], config.TRANSLATION
    if min(t.LAYERS, t.HEADS, t.FEEDFORWARD, t.WIDTH) < 1 or t.WIDTH % max(t.HEADS, 1) or t.WIDTH % 2:
        problems.append(
            f"TRANSLATION.WIDTH ({t.WIDTH}) must be even and a multiple of TRANSLATION.HEADS ({t.HEADS}), and neither "
            f"LAYERS ({t.LAYERS}) nor FEEDFORWARD ({t.FEEDFORWARD}) below 1"
        )
    if not 0 <= t.DROPOUT < 1:
        problems.append(f"TRANSLATION.DROPOUT must be at least 0 and below 1, not {t.DROPOUT}")
    if min(t.GLOSS_WEIGHT, t.TEXT_WEIGHT) < 0 or t.TEXT_WEIGHT == 0:
        problems.append("TRANSLATION.GLOSS_WEIGHT must be at least 0, and TRANSLATION.TEXT_WEIGHT above 0")
    if not t.BEAMS or min(t.BEAMS) < 1 or not t.LENGTH_PENALTIES or t.MAX_TOKENS < 1 or t.PATIENCE < 0:
        problems.append(
            "TRANSLATION.BEAMS must list beam sizes of at least 1, LENGTH_PENALTIES at least one number; MAX_TOKENS "
            "must be at least 1 and PATIENCE at least 0"
        )
    if not 0 < t.DECAY < 1:
        problems.append(f"TRANSLATION.DECAY must be between 0 and 1, not {t.DECAY}")
    if config.TRAIN.STAGE == "translation" and config.TRAIN.OPTIM.WARMUP_EPOCHS:
        problems.append("TRAIN.OPTIM.WARMUP_EPOCHS must be 0 for back-translation, whose learning rate follows BLEU-4")
    return problems
