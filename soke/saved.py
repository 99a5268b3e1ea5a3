"""Folders of saved models: what kind of model one holds, and whether this version knows its form."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soke import __version__
from soke.errors import UserError

FORMAT = 1  # of all kinds; raised when earlier versions would read wrongly what is written now


@dataclass(frozen=True)
class Kind:
    """A kind of saved model.

    name:  what it is called
    file:  in its folder, the one that tells it; of config.json, which others have too, what it holds tells it
    loads: the class that loads it
    does:  what for
    key:   of a configuration, that names its folder
    """

    name: str
    file: str
    loads: str = ""
    does: str = ""
    key: str = "TEST.CHECKPOINT"


_TOKENIZER = Kind(
    "tokenizer", "config.json", "soke.tokenizer.tokenizer.SignTokenizer",
    "turns motion of a signing body into codes and back", "TOKENIZER.PATH",
)
KINDS = (
    _TOKENIZER,
    Kind(
        "generator", "generator.json", "soke.generator.producer.SignProducer", "signs sentences, by codes of motion",
    ),
    Kind("regressor", "regressor.json", "soke.regressor.regressor.PoseRegressor", "signs sentences, pose by pose"),
    Kind(
        "back-translation model", "translator.json", "soke.translation.translator.BackTranslator",
        "reads signed motion as text", "METRIC.BACK_TRANSLATION",
    ),
    Kind(
        "sign recognizer", "recognizer.json", "soke.recognition.recognizer.SignRecognizer",
        "tells isolated signs apart",
    ),
    Kind(
        "retrieval model", "retriever.json", "soke.embedding.retriever.TextMotionRetriever",
        "finds signed motion by its sentence, and sentences by their motion", "METRIC.RETRIEVAL",
    ),
    Kind(
        "motion auto-encoder", "motion_autoencoder.json", "soke.embedding.autoencoder.MotionAutoencoder",
        "gives chunks of signed motion latents, for Fréchet distances", "METRIC.FRECHET",
    ),
)


def kind_of(folder: Path) -> Kind | None:
    """What a folder holds, one of `KINDS` or another's model; None for no model."""
    for kind in KINDS:
        if kind is not _TOKENIZER and (folder / kind.file).is_file():
            return kind
    try:
        config = json.loads((folder / _TOKENIZER.file).read_text(encoding="utf-8"))
        other = config.get("model_type")
        return Kind(str(other), _TOKENIZER.file) if other else _TOKENIZER if "layout" in config else None
    except (OSError, ValueError, AttributeError):
        return None


def require(folder: Path, kind: str, files: Sequence[str], remedy: str) -> None:
    """Raises UserError unless the folder holds these files, and no model of another kind."""
    found = kind_of(folder)
    if found is not None and found.name != kind:
        raise UserError(f"{folder} holds a model of another kind, {found.name}, and no {kind}; {remedy}")
    if not all((folder / file).is_file() for file in files):
        run = folder.parent.parent if folder.is_file() else folder  # of a checkpoint, or named in its export's place
        near = [str(place) for place in sorted(run.glob("*")) if (of := kind_of(place)) is not None and of.name == kind]
        raise UserError(f"no {kind} in {folder} ({' and '.join(files)}): {f'name {near[0]}' if near else remedy}")


def check_format(config: Mapping[str, Any], path: Path) -> None:
    """Raises UserError for a model whose `config`, which is in `path`, a later version has written in another form."""
    if config.get("format", FORMAT) not in range(FORMAT + 1):  # the first ones do not say it
        of = config.get("code_version", config.get("version", "unknown"))
        raise UserError(
            f"{path} is of format {config['format']}, written by version {of}; this version, {__version__}, knows formats up "
            f"to {FORMAT}: take a newer one"
        )


def within(folder: Path, name: str) -> Path:
    """What a saved model calls by a name lies in its folder. Raises ValueError for a name that leads elsewhere."""
    if not name or name in (".", "..") or any(sign in name for sign in "/\\:\0"):
        raise ValueError(f"the name {name!r} leads out of the folder")
    return folder / name
