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

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "configs" / "default.yaml"

Stage = Literal["tokenizer", "generator", "translation"]
KNOWN_CORPORA = ("how2sign", "csl", "phoenix", "nmfs_csl")


@dataclass
class Optim:
    lr: float
    betas: list[float]
    weight_decay: float
    eta_min: float
    warmup_epochs: int


@dataclass
class Train:
    stage: Stage
    batch_size: int
    batch_frames: int
    num_workers: int
    end_epoch: int
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    grad_clip: float
    accumulate: int
    checkpointing: bool
    label_smoothing: float
    resume: str
    extend: bool
    optim: Optim


@dataclass
class Eval:
    batch_size: int
    every_epochs: int
    generate_every: int
    generate_clips: int


@dataclass
class SearchConfig:
    method: Literal["greedy", "sample", "beam"]
    temperature: float
    top_k: int
    top_p: float
    seed: int
    beams: int
    length_penalty: float
    min_steps: int
    no_repeat: int


@dataclass
class Test:
    batch_size: int
    split: Literal["train", "val", "test"]
    checkpoint: str
    save_predictions: bool
    weights: Literal["float32", "bfloat16"]
    compile: bool
    search: SearchConfig


@dataclass
class CorpusConfig:
    root: str
    packed: str = ""
    reader: str = ""
    weight: float = 1.0


@dataclass
class Dataset:
    corpora: dict[str, CorpusConfig]
    lexicon: str | None
    train_on_lexicon: bool
    code_path: str
    statistics: str
    min_frames: int
    max_frames: int
    strict: bool
    cache_frames: int
    group_by_length: bool


@dataclass
class Body:
    root: str
    flat_hand_mean: bool
    betas: list[float]


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
    path: str
    codes: dict[str, int]
    code_dim: int
    width: int
    depth: int
    dilation_growth: int
    downsample: int
    ema_decay: float


@dataclass
class Loss:
    feature: float
    velocity: float
    commitment: float
    reduction: Literal["per_part", "all"]


@dataclass
class Retrieval:
    words: int
    steps: int
    match: Literal["token", "soke_substring"]
    similar: float
    recording: Literal["first", "longest", "shortest", "medoid"]
    keywords: str
    word_codes: str
    form: Literal["interleaved", "fused"]
    drop: float


@dataclass
class Generator:
    mbart: str
    decoding: Literal["multi_head", "sequential", "parallel"]
    heads: Literal["separate", "tied"]
    fusion: dict[str, float] | None
    max_steps: int
    max_source: int
    translation: float
    retrieval: Retrieval


@dataclass
class Translation:
    width: int
    layers: int
    heads: int
    feedforward: int
    dropout: float
    level: Literal["auto", "word", "char", "jieba"]
    gloss_weight: float
    text_weight: float
    pseudo_glosses: bool
    max_tokens: int
    beams: list[int]
    length_penalties: list[float]
    patience: int
    decay: float


@dataclass
class Metric:
    dtw: Literal["exact", "fastdtw"]
    level: Literal["auto", "word", "char", "jieba"]
    back_translation: str


@dataclass
class Logger:
    tensorboard: bool
    wandb: bool
    every_steps: int


@dataclass
class Render:
    size: int
    backend: Literal["auto", "pyvista", "software"]


@dataclass
class Config:
    name: str
    seed: int
    accelerator: str
    device: list[int] | int | str
    num_nodes: int
    folder: str
    results: str
    train: Train
    eval: Eval
    test: Test
    dataset: Dataset
    body: Body
    parts: list[Part]
    tokenizer: Tokenizer
    loss: Loss
    generator: Generator
    translation: Translation
    metric: Metric
    logger: Logger
    render: Render

    @property
    def run_folder(self) -> Path:
        """Where this stage's run writes: `FOLDER`/<stage>/<NAME>."""
        return resolve(self.folder) / self.train.stage / self.name

    def per_model(self) -> list[Config]:
        """This configuration, or for back-translation one per corpus: each has its own model, <NAME>/<corpus>."""
        if self.train.stage != "translation":
            return [self]
        return [
            dataclasses.replace(
                self, name=f"{self.name}/{name}", dataset=dataclasses.replace(self.dataset, corpora={name: corpus})
            )
            for name, corpus in self.dataset.corpora.items()
        ]

    @property
    def distinct_parts(self) -> list[str]:
        """Names of the parts that have a tokenizer of their own."""
        return [part.name for part in self.parts if part.mirrors is None]


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
    return OmegaConf.to_yaml(OmegaConf.create(to_plain(config)))


def to_plain(section: Any) -> Any:
    """A section, or a list or table of sections, as plain types under the keys that YAML has."""
    if dataclasses.is_dataclass(section):
        return {_key(type(section), f.name): to_plain(getattr(section, f.name)) for f in dataclasses.fields(section)}
    if isinstance(section, dict):
        return {name: to_plain(value) for name, value in section.items()}
    return [to_plain(value) for value in section] if isinstance(section, (list, tuple)) else section


def _key(section: type, field: str) -> str:
    """How YAML writes a field: in capitals, but for the entries of lists, which have small letters."""
    return field if section is Part else field.upper()


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
            kind = _hints(kind).get(name)
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
    hints = _hints(kind)
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in hints:
            problems.append(f"unknown key {prefix}{key}" + _near(str(key), hints))
    fields = {_key(kind, f.name): f for f in dataclasses.fields(kind)}
    known = {key: _checked(value[key], hints[key], f"{prefix}{key}", problems) for key in hints if key in value}
    missing = [
        key for key, f in fields.items()
        if key not in known and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    problems.extend(f"{prefix}{key} is missing" for key in missing)
    return None if missing else kind(**{fields[key].name: item for key, item in known.items()})


def _hints(section: type) -> dict[str, Any]:
    """The keys that YAML has for a section -> what they hold."""
    return {_key(section, name): hint for name, hint in typing.get_type_hints(section).items()}


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
    if config.train.stage != "translation" and set(config.tokenizer.codes) != set(config.distinct_parts):
        problems.append(
            f"TOKENIZER.CODES names {', '.join(config.tokenizer.codes) or 'no part'}, "
            f"but the tokenized parts are {', '.join(config.distinct_parts)}"
        )
    down = config.tokenizer.downsample
    if down < 1 or down & (down - 1):
        problems.append(f"TOKENIZER.DOWNSAMPLE must be a power of two, not {down}")
    elif config.dataset.min_frames < down or config.dataset.min_frames % down or config.dataset.max_frames % down:
        problems.append(f"DATASET.MIN_FRAMES and DATASET.MAX_FRAMES must be multiples of TOKENIZER.DOWNSAMPLE ({down})")
    if config.dataset.min_frames > config.dataset.max_frames:
        problems.append("DATASET.MIN_FRAMES is above DATASET.MAX_FRAMES")
    if not config.dataset.corpora:
        problems.append("DATASET.CORPORA is empty: name at least one corpus")
    fusion = config.generator.fusion
    names = [part.name for part in config.parts]
    if fusion is not None and (set(fusion) != set(names) or min(fusion.values()) < 0 or sum(fusion.values()) <= 0):
        problems.append(f"GENERATOR.FUSION must give each of {', '.join(names)} a weight of at least 0, not all 0")
    retrieval = config.generator.retrieval
    for key, share in (
        ("RETRIEVAL.SIMILAR", retrieval.similar), ("RETRIEVAL.DROP", retrieval.drop),
        ("TRANSLATION", config.generator.translation),
    ):
        if not 0 <= share <= 1:
            problems.append(f"GENERATOR.{key} must be between 0 and 1, not {share}")
    if retrieval.similar and retrieval.match != "token":
        problems.append("GENERATOR.RETRIEVAL.SIMILAR needs GENERATOR.RETRIEVAL.MATCH=token")
    sources = config.dataset.lexicon, retrieval.word_codes or None
    if config.train.stage == "generator" and retrieval.words and retrieval.keywords and sources == (None, None):
        problems.append(
            "GENERATOR.RETRIEVAL.KEYWORDS needs signs: set DATASET.LEXICON or GENERATOR.RETRIEVAL.WORD_CODES"
        )
    if len(config.body.betas) not in (0, 10):
        problems.append(f"BODY.BETAS must hold 10 numbers or none, not {len(config.body.betas)}")
    for key, value in (
        ("TRAIN.BATCH_SIZE", config.train.batch_size), ("TRAIN.END_EPOCH", config.train.end_epoch),
        ("TRAIN.ACCUMULATE", config.train.accumulate), ("EVAL.GENERATE_CLIPS", config.eval.generate_clips),
        ("EVAL.BATCH_SIZE", config.eval.batch_size), ("EVAL.EVERY_EPOCHS", config.eval.every_epochs),
        ("TEST.BATCH_SIZE", config.test.batch_size), ("GENERATOR.MAX_STEPS", config.generator.max_steps),
        ("NUM_NODES", config.num_nodes), ("LOGGER.EVERY_STEPS", config.logger.every_steps),
    ):
        if value < 1:
            problems.append(f"{key} must be at least 1, not {value}")
    return problems + _training_problems(config) + _translation_problems(config)


def _training_problems(config: Config) -> list[str]:
    problems = []
    train, every = config.train, config.eval.every_epochs
    longest = config.dataset.max_frames
    if train.batch_frames and train.batch_frames < longest:
        problems.append(
            f"TRAIN.BATCH_FRAMES must be 0, or hold the longest clip, DATASET.MAX_FRAMES ({longest}), not "
            f"{train.batch_frames}"
        )
    if train.batch_frames and not config.dataset.group_by_length:
        problems.append("TRAIN.BATCH_FRAMES needs DATASET.GROUP_BY_LENGTH=true")
    problems += [
        f"DATASET.CORPORA.{name}.WEIGHT must be a number above 0, not {corpus.weight}; null for a corpus leaves it out"
        for name, corpus in config.dataset.corpora.items() if not 0 < corpus.weight < math.inf
    ]
    if train.grad_clip < 0:
        problems.append(f"TRAIN.GRAD_CLIP must be a gradient norm, or 0 for no clipping, not {train.grad_clip}")
    if not 0 <= train.label_smoothing < 1:
        problems.append(f"TRAIN.LABEL_SMOOTHING must be at least 0 and below 1, not {train.label_smoothing}")
    if not 0 <= train.optim.warmup_epochs < max(train.end_epoch, 1):
        problems.append(
            f"TRAIN.OPTIM.WARMUP_EPOCHS must be at least 0 and below TRAIN.END_EPOCH ({train.end_epoch}), "
            f"not {train.optim.warmup_epochs}"
        )
    generate = config.eval.generate_every
    if train.stage == "generator" and every >= 1 and (generate < 0 or generate % every):
        problems.append(
            f"EVAL.GENERATE_EVERY must be a multiple of EVAL.EVERY_EPOCHS ({every}), or 0 for never, not {generate}"
        )
    return problems


def _translation_problems(config: Config) -> list[str]:
    problems, t = [], config.translation
    if min(t.layers, t.heads, t.feedforward, t.width) < 1 or t.width % max(t.heads, 1) or t.width % 2:
        problems.append(
            f"TRANSLATION.WIDTH ({t.width}) must be even and a multiple of TRANSLATION.HEADS ({t.heads}), and neither "
            f"LAYERS ({t.layers}) nor FEEDFORWARD ({t.feedforward}) below 1"
        )
    if not 0 <= t.dropout < 1:
        problems.append(f"TRANSLATION.DROPOUT must be at least 0 and below 1, not {t.dropout}")
    if min(t.gloss_weight, t.text_weight) < 0 or t.text_weight == 0:
        problems.append("TRANSLATION.GLOSS_WEIGHT must be at least 0, and TRANSLATION.TEXT_WEIGHT above 0")
    if not t.beams or min(t.beams) < 1 or not t.length_penalties or t.max_tokens < 1 or t.patience < 0:
        problems.append(
            "TRANSLATION.BEAMS must list beam sizes of at least 1, LENGTH_PENALTIES at least one number; MAX_TOKENS "
            "must be at least 1 and PATIENCE at least 0"
        )
    if not 0 < t.decay < 1:
        problems.append(f"TRANSLATION.DECAY must be between 0 and 1, not {t.decay}")
    if config.train.stage == "translation" and config.train.optim.warmup_epochs:
        problems.append("TRAIN.OPTIM.WARMUP_EPOCHS must be 0 for back-translation, whose learning rate follows BLEU-4")
    return problems
