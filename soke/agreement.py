"""Whether what is asked agrees with what there is: settings of a run that continues, of results, of a saved model."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Sequence

from omegaconf import OmegaConf

from soke.body.layout import MotionLayout
from soke.config import DEFAULTS, Config, Stage, resolve
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.tokenizer.tokenizer import SignTokenizer, saved_hash
from soke.translation import BackTranslator

ABSENT = "absent"
Changes = dict[str, tuple[Any, Any]]  # key -> (saved, asked)

# What a training depends on: patterns of keys, by stage. Further settings of the same section are added by themselves.
_TRAINED_BY: dict[Stage, tuple[str, ...]] = {
    "tokenizer": ("SEED", "TRAIN.*", "DATASET.*", "PARTS*", "TOKENIZER.*", "LOSS.*"),
    "generator": (
        "SEED", "TRAIN.*", "DATASET.*", "PARTS*", "TOKENIZER.*", "GENERATOR.*", "EVAL.GENERATE_CLIPS", "METRIC.DTW",
        "BODY.FLAT_HAND_MEAN", "BODY.BETAS*",
    ),
    "translation": (
        "SEED", "TRAIN.*", "DATASET.*", "PARTS*", "TOKENIZER.DOWNSAMPLE", "TRANSLATION.*", "EVAL.EVERY_EPOCHS",
    ),
}  # fmt: skip
_ALL_THE_SAME = (
    "TRAIN.NUM_WORKERS", "TRAIN.RESUME", "TRAIN.EXTEND", "TRAIN.CHECKPOINTING", "DATASET.STRICT", "DATASET.CACHE_FRAMES"
)
# May move, but neither come nor go. What lies there is checked by the hashes of codes, statistics and tokenizers.
_PLACES = (
    "DATASET.CORPORA.*.ROOT", "DATASET.CORPORA.*.PACKED", "DATASET.LEXICON", "DATASET.CODE_PATH", "DATASET.STATISTICS",
    "TOKENIZER.PATH", "GENERATOR.MBART",
)  # fmt: skip
_NAMED_BY_USERS = ("DATASET.CORPORA.*", "TOKENIZER.CODES.*", "GENERATOR.FUSION.*", "PARTS*")  # not by default.yaml
_MODEL: dict[Stage, tuple[str, ...]] = {
    "tokenizer": ("PARTS*", "TOKENIZER.*"),
    "generator": ("PARTS*", "TOKENIZER.*", "GENERATOR.*"),
    "translation": ("PARTS*", "TRANSLATION.*"),
}
# Key below GENERATOR -> field of GeneratorSpec; key below TOKENIZER -> field of AutoencoderSettings.
_OF_SPEC = {
    "DECODING": "decoding", "MAX_STEPS": "max_steps", "MAX_SOURCE": "max_pieces", "TRANSLATION": "translation",
    "RETRIEVAL.WORDS": "retrieval_words", "RETRIEVAL.STEPS": "retrieval_steps", "RETRIEVAL.MATCH": "retrieval_match",
    "RETRIEVAL.RECORDING": "retrieval_recording", "RETRIEVAL.FORM": "retrieval_form",
    "RETRIEVAL.DROP": "retrieval_drop",
}  # fmt: skip
_OF_AUTOENCODER = {
    "CODE_DIM": "code_dim", "WIDTH": "width", "DEPTH": "depth", "DILATION_GROWTH": "dilation_growth",
    "DOWNSAMPLE": "downsample", "EMA_DECAY": "decay",
}  # fmt: skip
_TESTED = ("TRAIN.STAGE", "NAME", "FOLDER", "TEST.CHECKPOINT")


def changes(saved: Path, config: Config) -> Changes:
    """In what a configuration differs from the config.yaml of a run or of results.

    Keys that the program got since count as their defaults, those that it lost do not count. Raises UserError when the
    file cannot be read.
    """
    try:
        before = _flat(OmegaConf.to_container(OmegaConf.load(saved)))
    except Exception as error:  # PyYAML raises many kinds
        raise UserError(f"{saved} cannot be read: {' '.join(str(error).split())}") from error
    asked = _flat(dataclasses.asdict(config))
    defaults = _flat(OmegaConf.to_container(OmegaConf.load(DEFAULTS), resolve=True))
    found: Changes = {}
    for key, value in asked.items():
        if key in before:
            if value != before[key]:
                found[key] = (before[key], value)
        elif value and value != defaults.get(key):
            found[key] = (ABSENT, value)
    gone = [key for key in before if key not in asked and before[key] and _matches(key, _NAMED_BY_USERS)]
    return found | {key: (before[key], ABSENT) for key in gone}


def of_training(found: Changes, stage: Stage, extend: bool) -> Changes:
    """Those without which a run would not have become what it is.

    extend: whether TRAIN.END_EPOCH may differ
    """
    return {
        key: pair for key, pair in found.items()
        if _matches(key, _TRAINED_BY[stage]) and not _matches(key, _ALL_THE_SAME)
        and not (_matches(key, _PLACES) and None not in pair and ABSENT not in pair)
        and not (extend and key == "TRAIN.END_EPOCH")
    }  # fmt: skip


def of_model(found: Changes, stage: Stage) -> Changes:
    """Those that make it another model that is tested."""
    return {key: pair for key, pair in found.items() if _matches(key, (*_TESTED, *_MODEL[stage]))}


def told(found: Changes) -> str:
    """KEY: saved -> asked, of each."""
    return ", ".join(f"{key}: {_shown(saved)} -> {_shown(asked)}" for key, (saved, asked) in found.items())


def check_tokenizer(config: Config, parts: MotionLayout, tokenizer: SignTokenizer, folder: Path) -> None:
    """Raises UserError that names all settings, with both values, in which the tokenizer in `folder` contradicts the
    configuration and its layout `parts`."""
    _require(_of_tokenizer(config, parts, tokenizer), folder)


def check_generator(
    config: Config, parts: MotionLayout, generator: SignGenerator, tokenizer: SignTokenizer, folder: Path
) -> None:
    """Raises UserError as `check_tokenizer` does. GENERATOR.RETRIEVAL.SIMILAR may change with every test."""
    asked, spec = _flat(dataclasses.asdict(config.GENERATOR)), generator.spec
    pairs = _of_tokenizer(config, parts, tokenizer)
    pairs |= {f"GENERATOR.{key}": (getattr(spec, field), asked[key]) for key, field in _OF_SPEC.items()}
    pairs["GENERATOR.HEADS"] = ("tied" if spec.tied_heads else "separate", asked["HEADS"])
    pairs["GENERATOR.FUSION"] = (spec.fusion, config.GENERATOR.FUSION)
    if spec.retrieval_words:
        lexicon, word_codes = config.DATASET.LEXICON, asked["RETRIEVAL.WORD_CODES"]
        knows_signs = any(generator.source.lexicon.recordings.values())
        if knows_signs != (lexicon is not None or bool(word_codes)):
            pairs["DATASET.LEXICON"] = ("a lexicon" if knows_signs else None, lexicon)
        for key, made_of in (("KEYWORDS", spec.retrieval_keywords), ("WORD_CODES", spec.retrieval_word_codes)):
            path = asked[f"RETRIEVAL.{key}"]
            if bool(path) != bool(made_of):  # which files they are is for their hash to tell
                pairs[f"GENERATOR.RETRIEVAL.{key}"] = (made_of, path)
    named = saved_hash(resolve(config.TOKENIZER.PATH)) if config.TOKENIZER.PATH else None
    if named is not None:
        pairs["TOKENIZER.PATH"] = (f"tokenizer {tokenizer.hash}", f"tokenizer {named}")
    _require(pairs, folder)


def check_translator(config: Config, parts: MotionLayout, translator: BackTranslator, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does."""
    t, made, targets = config.TRANSLATION, translator.model.settings, translator.targets
    pairs = _of_layout(parts, translator.layout)
    for key in ("WIDTH", "LAYERS", "HEADS", "FEEDFORWARD", "DROPOUT"):
        pairs[f"TRANSLATION.{key}"] = (getattr(made, key.lower()), getattr(t, key))
    if t.LEVEL != "auto":  # which depends on the texts that it was trained on
        pairs["TRANSLATION.LEVEL"] = (targets.level, t.LEVEL)
    pairs["TRANSLATION.PSEUDO_GLOSSES"] = (targets.pseudo, t.PSEUDO_GLOSSES)
    pairs["TRANSLATION.MAX_TOKENS"] = (translator.max_tokens, t.MAX_TOKENS)
    for key, chosen in (("BEAMS", translator.beams), ("LENGTH_PENALTIES", translator.alpha)):
        if chosen not in getattr(t, key):  # training has chosen it from the range
            pairs[f"TRANSLATION.{key}"] = (chosen, getattr(t, key))
    _require(pairs, folder)


def _of_tokenizer(config: Config, parts: MotionLayout, tokenizer: SignTokenizer) -> Changes:
    pairs = _of_layout(parts, tokenizer.layout)
    pairs["TOKENIZER.CODES"] = (
        {part: settings.num_codes for part, settings in tokenizer.settings.items()}, config.TOKENIZER.CODES
    )  # fmt: skip
    for settings in tokenizer.settings.values():
        for key, field in _OF_AUTOENCODER.items():
            pair = (getattr(settings, field), getattr(config.TOKENIZER, key))
            if pair[0] != pair[1]:
                pairs[f"TOKENIZER.{key}"] = pair
    return pairs


def _of_layout(asked: MotionLayout, saved: MotionLayout) -> Changes:
    pairs = {"PARTS": (", ".join(saved.names), ", ".join(asked.names))}
    if saved.names == asked.names:
        for name, *both in zip(saved.names, saved.to_list(), asked.to_list()):
            pairs |= {f"PARTS {name}.{key}": (both[0][key], both[1][key]) for key in both[0]}
    return pairs


def _require(pairs: Changes, folder: Path) -> None:
    found = {key: (saved, asked) for key, (saved, asked) in pairs.items() if saved != asked}
    if found:
        raise UserError(
            f"the model in {folder} was trained with other settings than those asked for (trained -> asked), "
            f"{told(found)}: leave them as they were trained, or train a model with them"
        )


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Dotted keys; entries of lists of sections by their number."""
    if isinstance(value, Mapping) and value:
        items = [(f"{key}.{name}" if key else str(name), item) for name, item in value.items()]
    elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        items = [(f"{key}[{number}]", item) for number, item in enumerate(value)]
    else:
        return {key: value}
    return {name: leaf for path, item in items for name, leaf in _flat(item, path).items()}


def _matches(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _shown(value: Any) -> str:
    return "null" if value is None else "''" if value == "" else str(value)
