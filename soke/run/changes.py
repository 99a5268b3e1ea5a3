"""In what a configuration differs from one that was saved, and what of that matters."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Sequence

from omegaconf import OmegaConf

from soke.errors import UserError
from soke.run.config import DEFAULTS, Config, to_plain
from soke.run.older import modern

ABSENT = "absent"
Changes = dict[str, tuple[Any, Any]]  # key -> (saved, asked)

_ALL_THE_SAME = (
    "TRAIN.NUM_WORKERS", "TRAIN.STRATEGY", "TRAIN.RESUME", "TRAIN.EXTEND", "TRAIN.CHECKPOINTING", "TRAIN.SAVE.*",
    "DATASET.STRICT", "DATASET.CACHE_FRAMES", "RECOGNITION.FEATURES",
)
_OF_ALL_STAGES = ("EVAL.MONITOR", "EVAL.DIRECTION")
# May move, but neither come nor go. What lies there is checked by the hashes of codes, statistics and models,
# and by the words of a regressor.
_PLACES = (
    "DATASET.CORPORA.*.ROOT", "DATASET.CORPORA.*.PACKED", "DATASET.LEXICON", "DATASET.CODE_PATH", "DATASET.STATISTICS",
    "TOKENIZER.PATH", "GENERATOR.MBART", "REGRESSOR.PROMPT_FOLDER", "TRAIN.INIT", "POLICY.READER",
)
_NEVER_NEW = ("TRAIN.INIT",)  # nor have been empty: what had another beginning is another training
# Not by default.yaml.
_NAMED_BY_USERS = (
    "DATASET.CORPORA.*", "TRAIN.OPTIM.FACTORS.*", "TRAIN.LORA.*",
    "GENERATOR.FUSION.*", "TRANSLATION.BATCH_SIZES.*", "REGRESSOR.OBJECTIVES.*",
    "REGRESSOR.LANG_GLOSS.*", "AUGMENT.MIRROR.*", "PARTS*",
)
_TESTED = ("TRAIN.STAGE", "NAME", "FOLDER", "TEST.CHECKPOINT")


def changes(saved: Path, config: Config) -> Changes:
    """In what a configuration differs from the config.yaml of a run or of results.

    Keys that the program got since count as their defaults, those that it lost do not count. Raises UserError when the
    file cannot be read.
    """
    before = recorded(saved)
    asked = flat(modern(to_plain(config)))
    defaults = flat(OmegaConf.to_container(OmegaConf.load(DEFAULTS), resolve=True))
    found: Changes = {}
    for key, value in asked.items():
        if key in before:
            if value != before[key]:
                found[key] = (before[key], value)
        elif value and value != defaults.get(key):
            found[key] = (ABSENT, value)
    gone = [key for key in before if key not in asked and before[key] and _matches(key, _NAMED_BY_USERS)]
    return found | {key: (before[key], ABSENT) for key in gone}


def recorded(saved: Path) -> dict[str, Any]:
    """The config.yaml of a run, by dotted keys of today. Raises UserError when it cannot be read."""
    try:
        return flat(modern(OmegaConf.to_container(OmegaConf.load(saved))))
    except Exception as error:  # PyYAML raises many kinds
        raise UserError(f"{saved} cannot be read: {' '.join(str(error).split())}") from error


def that_trained(saved: Mapping[str, Any], trained_by: Sequence[str]) -> dict[str, Any]:
    """Those settings of a run on which its training depended, but for the places where something lay."""
    return {
        key: value for key, value in saved.items()
        if _matches(key, trained_by) and not _matches(key, (*_ALL_THE_SAME, *_PLACES))
    }


def of_training(found: Changes, trained_by: Sequence[str], extend: bool) -> Changes:
    """Those without which a run would not have become what it is.

    trained_by: patterns of the keys that its training depends on, among them whole sections, of which those settings
                are left out that never matter
    extend:     whether TRAIN.END_EPOCH may differ
    """
    return {
        key: pair for key, pair in found.items()
        if _matches(key, (*trained_by, *_OF_ALL_STAGES)) and not _matches(key, _ALL_THE_SAME)
        and not (_matches(key, _PLACES) and None not in pair and ABSENT not in pair and not (key in _NEVER_NEW and "" in pair))
        and not (extend and key == "TRAIN.END_EPOCH")
    }


def of_model(found: Changes, model_keys: Sequence[str]) -> Changes:
    """Those that make it another model that is tested; model_keys: patterns of keys, besides those of all models"""
    return {key: pair for key, pair in found.items() if _matches(key, (*_TESTED, *model_keys))}


def described(found: Changes) -> str:
    """KEY: saved -> asked, of each."""
    return ", ".join(f"{key}: {_shown(saved)} -> {_shown(asked)}" for key, (saved, asked) in found.items())


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Dotted keys; entries of lists of sections by their number."""
    if isinstance(value, Mapping) and value:
        items = [(f"{key}.{name}" if key else str(name), item) for name, item in value.items()]
    elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        items = [(f"{key}[{number}]", item) for number, item in enumerate(value)]
    else:
        return {key: value}
    return {name: leaf for path, item in items for name, leaf in flat(item, path).items()}


def _matches(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _shown(value: Any) -> str:
    return "null" if value is None else "''" if value == "" else str(value)
