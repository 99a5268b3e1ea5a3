"""Whether a saved model agrees with the settings that are asked for."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from soke.body.layout import MotionLayout
from soke.data.clip import Corpus
from soke.data.fingerprints import annotation_hashes, other_data
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.settings import DROPOUTS, Generator
from soke.run.changes import ABSENT, Changes, described
from soke.run.config import Config, model_folder
from soke.settings import Settings
from soke.tokenizer.saved import saved_hash
from soke.tokenizer.settings import Networks, written_as
from soke.tokenizer.tokenizer import SignTokenizer

if TYPE_CHECKING:
    from soke.embedding.autoencoder import MotionAutoencoder, Seen
    from soke.embedding.retriever import TextMotionRetriever
    from soke.recognition.recognizer import SignRecognizer
    from soke.regressor.regressor import PoseRegressor
    from soke.translation import BackTranslator

log = logging.getLogger(__name__)

# What forms of frames hold in ways of their own; all else is the same rotations.
_OF_FACES = {"jaw", "left_eye_smplhf", "right_eye_smplhf", "expression", "eyelids"}


def check_tokenizer(config: Config, parts: MotionLayout, tokenizer: SignTokenizer, folder: Path) -> None:
    """Raises UserError that names all settings, with both values, in which the tokenizer in `folder` contradicts the
    configuration and its layout `parts`."""
    _require(_of_tokenizer(config, parts, tokenizer), folder)


def check_generator(
    config: Config, parts: MotionLayout, generator: SignGenerator, tokenizer: SignTokenizer, folder: Path
) -> None:
    """Raises UserError as `check_tokenizer` does. GENERATOR.MBART, where training started, and mBART's dropouts do not
    matter afterwards, and GENERATOR.RETRIEVAL.SIMILAR may change with every test."""
    pairs, settings = _of_tokenizer(config, parts, tokenizer), generator.spec.settings
    made = _of_section("GENERATOR", settings, config.generator)
    for key in ("MBART", "RETRIEVAL.SIMILAR", *(name.upper() for name in DROPOUTS)):
        del made[f"GENERATOR.{key}"]
    for key in ("GENERATOR.RETRIEVAL.KEYWORDS", "GENERATOR.RETRIEVAL.WORD_CODES"):
        of, path = made[key]
        if not settings.retrieval.words or bool(path) == bool(of):  # which files they are is for their hash to tell
            del made[key]
    if settings.retrieval.words:
        lexicon, word_codes = config.dataset.lexicon, config.generator.retrieval.word_codes
        knows_signs = any(generator.source.lexicon.recordings.values())
        if knows_signs != (lexicon is not None or bool(word_codes)):
            made["DATASET.LEXICON"] = ("a lexicon" if knows_signs else None, lexicon)
    pairs |= made
    named = saved_hash(model_folder(config.tokenizer.path)) if config.tokenizer.path else None
    if named is not None:
        pairs["TOKENIZER.PATH"] = (f"tokenizer {tokenizer.hash}", f"tokenizer {named}")
    _require(pairs, folder)


def check_regressor(config: Config, parts: MotionLayout, regressor: PoseRegressor, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does, for settings that none of the groups has that were trained on the
    corpora; those of a model to which languages were added may differ, and each keeps its own. REGRESSOR.TIMING and
    REGRESSOR.MAX_FRAMES may change with every test; templates of prompts are kept by the model."""
    check_features(config, parts, regressor, folder)
    pairs: Changes = {}
    for group in regressor.groups_of(config.dataset.corpora):
        own = _of_section("REGRESSOR", group.settings, config.regressor)
        pairs |= {key: both for key, both in own.items() if key not in pairs or both[0] == both[1]}
    for free in ("TIMING", "MAX_FRAMES", "PROMPT_FOLDER"):
        del pairs[f"REGRESSOR.{free}"]
    _require(pairs, folder)


def check_features(config: Config, parts: MotionLayout, regressor: PoseRegressor, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does, for what a motion is to the regressor."""
    _require({"DATASET.FRAMES": (regressor.form, config.dataset.frames)} | _of_layout(parts, regressor.layout), folder)


def of_begun(asked: Generator, saved: Generator) -> Changes:
    """The settings in which a new generator differs from the one that its training begins from, and by which the same
    weights would output other codes."""
    free = (
        *(name.upper() for name in DROPOUTS), "MBART", "TRANSLATION", "MAX_STEPS", "RETRIEVAL.DROP", "RETRIEVAL.KEYWORDS",
        "RETRIEVAL.WORD_CODES",
    )
    pairs = _of_section("GENERATOR", saved, asked)
    return {
        key: (theirs, ours) for key, (theirs, ours) in pairs.items()
        if theirs != ours and key.removeprefix("GENERATOR.") not in free
    }


def check_translator(config: Config, parts: MotionLayout, translator: BackTranslator, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does."""
    t, made, targets = config.translation, translator.model.settings, translator.targets
    pairs = {"DATASET.FRAMES": (translator.form, config.dataset.frames)} | _of_layout(parts, translator.layout)
    pairs |= _of_section("TRANSLATION", made, t)
    if t.level != "auto":  # which depends on the texts that it was trained on
        pairs["TRANSLATION.LEVEL"] = (targets.level, t.level)
    pairs["TRANSLATION.PSEUDO_GLOSSES"] = (targets.pseudo, t.pseudo_glosses)
    pairs["TRANSLATION.MAX_TOKENS"] = (translator.max_tokens, t.max_tokens)
    for key, chosen in (("BEAMS", translator.beams), ("LENGTH_PENALTIES", translator.alpha)):
        if chosen not in getattr(t, key.lower()):  # training has chosen it from the range
            pairs[f"TRANSLATION.{key}"] = (chosen, getattr(t, key.lower()))
    _require(pairs, folder)


def check_scorer(
    config: Config, parts: MotionLayout, model: BackTranslator | TextMotionRetriever, corpus: Corpus, folder: Path,
    kind: str,
) -> None:
    """Raises UserError where a model that scores the motions of a corpus reads another sign language, faces of other
    frames, or parts of the body that the configuration's layout leaves at rest; warns when it was trained on other data.

    kind: what it is called
    """
    where = f"the {kind} in {folder}"
    if model.language != corpus.language:
        raise UserError(
            f"{where} reads {model.language}, but {corpus.name} is {corpus.language}; train one on {corpus.name}"
        )
    if model.form != config.dataset.frames and model.layout.covers & _OF_FACES:
        raise UserError(
            f"{where} was trained on the frames {model.form}, DATASET.FRAMES is {config.dataset.frames}; train one with "
            "these"
        )
    unseen = model.layout.covers - parts.covers
    if unseen:
        raise UserError(
            f"{where} reads {', '.join(sorted(unseen))}, which PARTS leaves out; train one with these PARTS"
        )
    reason = other_data(model.provenance, corpus.name, annotation_hashes(corpus))
    if reason:
        log.warning("%s %s: train one on this %s", where, reason, corpus.name)


def check_retriever(config: Config, parts: MotionLayout, retriever: TextMotionRetriever, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does. Where the learnt temperature began does not matter."""
    pairs = {"DATASET.FRAMES": (retriever.form, config.dataset.frames)} | _of_layout(parts, retriever.layout)
    pairs |= _of_section("RETRIEVAL", retriever.model.settings, config.retrieval)
    if config.retrieval.level != "auto":  # which depends on the texts that it was trained on
        pairs["RETRIEVAL.LEVEL"] = (retriever.level, config.retrieval.level)
    _require(pairs, folder)


def check_autoencoder(config: Config, seen: Seen, autoencoder: MotionAutoencoder, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does.

    seen: what an auto-encoder of this configuration sees
    """
    _require(_of_section("MOTION_AUTOENCODER", autoencoder.settings, config.motion_autoencoder), folder)
    check_seen(config, seen, autoencoder, folder)


def check_seen(config: Config, seen: Seen, autoencoder: MotionAutoencoder, folder: Path) -> None:
    """Raises UserError for an auto-encoder of other joints, body or frames than those that are scored."""
    pairs = {"DATASET.FRAMES": (autoencoder.form, config.dataset.frames), "BODY": (autoencoder.seen.body, seen.body)}
    pairs |= {
        "joints that PARTS moves": tuple(", ".join(of.covers) for of in (autoencoder.seen, seen)),
        "scored joints": tuple(
            ", ".join(f"{joints.label} {name}" for name, joints in of.joints.items()) for of in (autoencoder.seen, seen)
        ),
        "unit": (autoencoder.seen.unit, seen.unit),
    }
    _require(pairs, folder)


def check_recognizer(config: Config, recognizer: SignRecognizer, folder: Path) -> None:
    """Raises UserError as `check_tokenizer` does."""
    asked, seen = config.recognition, config.recognition.seen([part.name for part in config.parts])
    pairs = _of_section("RECOGNITION", recognizer.classifier.settings, asked.classifier)
    pairs["RECOGNITION.PARTS"] = (", ".join(recognizer.parts), ", ".join(seen))
    _require(pairs, folder)


def _of_tokenizer(config: Config, parts: MotionLayout, tokenizer: SignTokenizer) -> Changes:
    pairs = {"DATASET.FRAMES": (tokenizer.form, config.dataset.frames)} | _of_layout(parts, tokenizer.layout)
    asked = config.tokenizer.autoencoders(config.parts)
    for part in (part for part in tokenizer.settings if part in asked):
        both = tokenizer.settings[part], asked[part]
        for field in dataclasses.fields(Networks):
            values = tuple(getattr(settings, field.name) for settings in both)
            if values[0] != values[1]:  # of any part
                pairs[f"TOKENIZER.{field.name.upper()}"] = values
        written = [written_as(settings.quantizer) for settings in both]
        for key in written[0] | written[1]:
            pairs[f"PARTS.{part}.quantizer.{key}"] = tuple(values.get(key, ABSENT) for values in written)
    return pairs


def _of_section(key: str, saved: Settings, asked: Settings) -> Changes:
    """Every setting of a section, and of those in it."""
    pairs: Changes = {}
    for field in dataclasses.fields(saved):
        both, name = (getattr(saved, field.name), getattr(asked, field.name)), f"{key}.{field.name.upper()}"
        pairs |= _of_section(name, *both) if all(isinstance(value, Settings) for value in both) else {name: both}
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
            f"{described(found)}: leave them as they were trained, or train a model with them"
        )
