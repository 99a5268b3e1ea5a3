"""Settings that somebody has set, but that mean nothing beside the others: they are refused, for who sets one expects to
see its effect.

What one layer of a configuration sets stays there in silence when a later one turns to something else: a file's
PATIENCE, for instance, where the command line asks for another SCHEDULE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from soke.run.schema import Config
from soke.settings import near


@dataclass(frozen=True)
class _Rule:
    """keys: patterns; by: the keys that decide whether they mean anything; why: in which words they do not, "" where they
    do; remedy: what to do where they are meant"""

    keys: Sequence[str]
    by: Sequence[str]
    why: Callable[[Config], str]
    remedy: str = ""


def keys_of(layer: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of what a layer sets, in plain types."""
    for key, value in layer.items():
        yield prefix + str(key)
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{prefix}{key}.")


def without_effect(config: Config, layers: Sequence[Any], plain: Any, defaults: Any) -> list[str]:
    """What has no effect though it was set, a sentence each, with keys.

    layers:   what files and the command line set, in their order, each in plain types; none that states everything, as
              the config.yaml of a run
    plain:    the configuration in plain types
    defaults: that of default.yaml, whose values may be set without an effect
    """
    set_in = {key: number for number, layer in enumerate(layers) for key in keys_of(layer)}
    found = _no_corpora(config, set_in)
    for rule in _RULES:
        decided = max((set_in[key] for key in set_in if _within(key, rule.by)), default=0)
        why = rule.why(config)
        for key in (key for key in set_in if why and set_in[key] >= decided and _matches(key, rule.keys)):
            value = _value(plain, key)
            if value is not None and not isinstance(value, Mapping) and value != _value(defaults, key):
                found.append(f"{key} has no effect {why}: {rule.remedy or 'leave it out'}")
    return list(dict.fromkeys(found))


def _no_corpora(config: Config, set_in: Mapping[str, int]) -> list[str]:
    """Of TRANSLATION.BATCH_SIZES the names that no layer's DATASET.CORPORA has; one that was left out is no mistake."""
    known = [key.split(".")[2] for key in set_in if fnmatchcase(key, "DATASET.CORPORA.*")]
    corpora = config.dataset.corpora
    return [
        f"TRANSLATION.BATCH_SIZES.{name} is no corpus of this training, {', '.join(corpora)}{near(name, corpora)}"
        for name in config.translation.batch_sizes if set_in and name not in (*known, *corpora)
    ]


def _value(plain: Any, key: str) -> Any:
    for name in key.split("."):
        plain = plain.get(name) if isinstance(plain, Mapping) else None
    return plain


def _within(key: str, sections: Sequence[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _matches(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _trained(config: Config) -> Any:
    """The section of the stage's name."""
    return getattr(config, config.train.stage, None)


def _unheeded(key: str) -> _Rule:
    """Of what only some stages do."""
    def why(config: Config) -> str:
        heeds = getattr(_trained(config), "heeds", ())
        return "" if key in heeds else f"on a model of stage {config.train.stage}"

    return _Rule([key], ["TRAIN.STAGE"], why)


def _unlike(key: str, *values: str) -> Callable[[Config], str]:
    """Where a setting has none of the values."""
    def why(config: Config) -> str:
        setting: Any = config
        for name in key.lower().split("."):
            setting = getattr(setting, name)
        return "" if setting in values else f"with {key}={setting}"

    return why


def _of(section: str, why: Callable[[Config], str]) -> Callable[[Config], str]:
    """In trainings and tests of this section's model alone: what matters to another stage may be set."""
    return lambda config: why(config) if _trained(config) is getattr(config, section) else ""


def _without_quantizers(kinds: Sequence[str], lacking: str = "") -> Callable[[Config], str]:
    """Where no part's quantizer, or what a residual one is of, is of these kinds, without a setting of its own."""
    def why(config: Config) -> str:
        of_parts = [part.quantizer for part in config.parts if part.quantizer]
        every = [*of_parts, *(q["of"] for q in of_parts if isinstance(q.get("of"), Mapping))]
        if not every or any(q.get("kind") in kinds and lacking not in q for q in every):
            return ""
        return f"with PARTS of which none is quantized by {' or '.join(kinds)}" + f" without a {lacking} of its own" * bool(lacking)

    return _of("tokenizer", why)


def _without_signs(config: Config) -> str:
    """A training that begins from a generator must have its settings, whatever they mean."""
    retrieval = config.generator.retrieval
    known = config.dataset.lexicon is not None or retrieval.word_codes
    if config.train.init or not retrieval.words:
        return ""
    return "" if known else "without signs to retrieve: DATASET.LEXICON and GENERATOR.RETRIEVAL.WORD_CODES are empty"


def _without_words(config: Config) -> str:
    retrieves = config.train.init or config.generator.retrieval.words
    return _without_signs(config) if retrieves else "with GENERATOR.RETRIEVAL.WORDS=0"


def _by_reward_alone(config: Config) -> str:
    share = config.policy.share
    return f"with POLICY.SHARE={share:g}, where all batches learn by reward" if share >= 1 else ""


def _never_signing(config: Config) -> str:
    shares = (config.policy.share, config.generator.translation)
    return "" if sum(shares) < 1 else "with POLICY.SHARE={:g} and GENERATOR.TRANSLATION={:g}, which leave no batch".format(*shares)


def _unweighted(*names: str) -> Callable[[Config], str]:
    def why(config: Config) -> str:
        shares = config.regressor.objectives
        return "" if any(shares.get(name) for name in names) else f"where REGRESSOR.OBJECTIVES has no {' or '.join(names)}"

    return _of("regressor", why)


def _ranked(config: Config) -> str:
    shares = config.regressor.objectives
    return "with PRIORITY.FORM=rank" * (config.priority.form == "rank" and bool(shares.get("plc")) and not shares.get("rwr"))


def _unclipped(config: Config) -> str:
    policy = config.policy
    return _unlike("POLICY.OBJECTIVE", "grpo")(config) or "with POLICY.UPDATES=1" * (policy.updates == 1)


def _no_reward(config: Config) -> str:
    return "" if config.policy.share else "with POLICY.SHARE=0, where nothing learns by reward"


def _by_frames(config: Config) -> str:
    frames = config.train.batch_frames
    return f"with TRAIN.BATCH_FRAMES={frames}, which is used in its place" if frames else ""


def _nobody_shows(config: Config) -> str:
    loggers = config.logger
    shown = loggers.tensorboard or loggers.wandb or loggers.mlflow
    return "" if shown else "where LOGGER.TENSORBOARD, WANDB and MLFLOW are false"


_SCHEDULE, _METHOD, _SHARE = ["TRAIN.OPTIM.SCHEDULE"], ["TEST.SEARCH.METHOD"], ["POLICY.SHARE"]
_OBJECTIVE, _SIGNS = ["POLICY.OBJECTIVE", "POLICY.SHARE"], [
    "GENERATOR.RETRIEVAL.WORDS", "DATASET.LEXICON", "GENERATOR.RETRIEVAL.WORD_CODES",
]
_RULES = (
    *map(_unheeded, (
        "TEST.BASELINES", "TEST.WEIGHTS", "TEST.COMPILE", "TEST.SEARCH.*", "DATASET.TRAIN_ON_LEXICON",
        "DATASET.CORPORA.*.WEIGHT",
    )),
    _Rule(
        ["TRAIN.OPTIM.PATIENCE"], _SCHEDULE, _unlike("TRAIN.OPTIM.SCHEDULE", "plateau"),
        "set TRAIN.OPTIM.SCHEDULE=plateau, or EVAL.PATIENCE for an early end",
    ),
    _Rule(
        ["TRAIN.OPTIM.FACTOR"], _SCHEDULE, _unlike("TRAIN.OPTIM.SCHEDULE", "plateau"),
        "set TRAIN.OPTIM.SCHEDULE=plateau, or TRAIN.OPTIM.FACTORS for rates of single weights",
    ),
    _Rule(["TRAIN.OPTIM.ETA_MIN"], _SCHEDULE, _unlike("TRAIN.OPTIM.SCHEDULE", "cosine", "linear", "plateau")),
    _Rule(
        ["TRAIN.BATCH_SIZE", "TRANSLATION.BATCH_SIZES.*"], ["TRAIN.BATCH_FRAMES"], _by_frames,
        "leave it out, or set that to 0",
    ),
    _Rule(
        [f"TEST.SEARCH.{key}" for key in ("TEMPERATURE", "TOP_K", "TOP_P", "SEED")], _METHOD,
        _unlike("TEST.SEARCH.METHOD", "sample"), "set TEST.SEARCH.METHOD=sample",
    ),
    _Rule(
        ["TEST.SEARCH.BEAMS", "TEST.SEARCH.LENGTH_PENALTY"], _METHOD, _unlike("TEST.SEARCH.METHOD", "beam"),
        "set TEST.SEARCH.METHOD=beam",
    ),
    _Rule(["BODY.HEAD_PLACE"], ["BODY.MODEL"], _unlike("BODY.MODEL", "smplfx"), "set BODY.MODEL=smplfx"),
    _Rule(["TOKENIZER.EMA.DECAY"], ["PARTS"], _without_quantizers(["ema"], "decay")),
    _Rule(["TOKENIZER.VQ.DECAY"], ["PARTS"], _without_quantizers(["vq"], "decay")),
    _Rule(["TOKENIZER.FSQ.BOUND"], ["PARTS"], _without_quantizers(["fsq"], "bound")),
    _Rule(["LOSS.CODEBOOK"], ["PARTS"], _without_quantizers(["vq"])),
    _Rule(["LOSS.COMMITMENT"], ["PARTS"], _without_quantizers(["ema", "vq"])),
    _Rule(_SIGNS[:1], _SIGNS[1:], _of("generator", _without_signs)),
    _Rule(
        [f"GENERATOR.RETRIEVAL.{key}" for key in ("STEPS", "MATCH", "SIMILAR", "RECORDING", "FORM", "DROP")], _SIGNS,
        _of("generator", _without_words),
    ),
    _Rule(["TRAIN.LABEL_SMOOTHING"], [*_SHARE, "GENERATOR.TRANSLATION"], _of("generator", _never_signing)),
    _Rule(["AUGMENT.DROP_STEP", "TRAIN.CHECKPOINTING"], _SHARE, _of("generator", _by_reward_alone)),
    _Rule(
        [f"POLICY.{key}" for key in (
            "OBJECTIVE", "SAMPLES", "SENTENCES", "UPDATES", "CLIP", "KL", "BETA", "DECAY", "TEMPERATURE", "TOP_K", "TOP_P",
            "REWARDS.*", "PATIENCE",
        )], _SHARE, _of("generator", _no_reward), "set POLICY.SHARE",
    ),
    _Rule(["POLICY.CLIP"], [*_OBJECTIVE, "POLICY.UPDATES"], _of("generator", _unclipped)),
    _Rule(["POLICY.BETA"], _OBJECTIVE, _of("generator", _unlike("POLICY.OBJECTIVE", "dpo"))),
    _Rule(["POLICY.DECAY"], _OBJECTIVE, _of("generator", _unlike("POLICY.OBJECTIVE", "reinforce"))),
    _Rule(["POLICY.KL"], _OBJECTIVE, _of("generator", _unlike("POLICY.OBJECTIVE", "reinforce", "scst", "grpo"))),
    _Rule(
        [f"PRIORITY.{key}" for key in ("FORM", "ETA", "QUANTILE", "WARMUP", "BY")], ["REGRESSOR.OBJECTIVES"],
        _unweighted("plc"), "give it a share there",
    ),
    _Rule(["PRIORITY.TEMPERATURE"], ["REGRESSOR.OBJECTIVES"], _unweighted("plc", "rwr"), "give one a share there"),
    _Rule(["PRIORITY.TEMPERATURE"], ["REGRESSOR.OBJECTIVES", "PRIORITY.FORM"], _of("regressor", _ranked)),
    _Rule(
        ["REGRESSOR.START"], ["REGRESSOR.JUST_COUNTER"],
        _of("regressor", lambda config: "with REGRESSOR.JUST_COUNTER=true" * config.regressor.just_counter),
    ),
    _Rule(["LOGGER.PICTURES"], [f"LOGGER.{key}" for key in ("TENSORBOARD", "WANDB", "MLFLOW")], _nobody_shows),
)
