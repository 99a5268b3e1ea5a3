"""Folders of saved models: what kind of model one holds, and whether this version knows its form."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soke import __version__
from soke.errors import UserError

FORMAT = 1  # of all kinds; raised when earlier versions would read wrongly what is written now
KINDS = {  # of model -> the file that tells it
    "generator": "generator.json", "regressor": "regressor.json", "back-translation model": "translator.json",
    "sign recognizer": "recognizer.json", "tokenizer": "config.json",
}


def kind_of(folder: Path) -> str:
    """What a folder holds, "" for no model."""
    for kind, file in KINDS.items():
        if kind != "tokenizer" and (folder / file).is_file():
            return kind
    try:
        config = json.loads((folder / KINDS["tokenizer"]).read_text(encoding="utf-8"))
        return str(config.get("model_type", "")) or ("tokenizer" if "layout" in config else "")  # mbart has one, too
    except (OSError, ValueError, AttributeError):
        return ""


def require(folder: Path, kind: str, files: Sequence[str], remedy: str) -> None:
    """Raises UserError unless the folder holds these files, and no model of another kind."""
    found = kind_of(folder)
    if found not in ("", kind):
        raise UserError(f"{folder} holds a model of another kind, {found}, and no {kind}; {remedy}")
    if not all((folder / file).is_file() for file in files):
        raise UserError(f"no {kind} in {folder} ({' and '.join(files)}): {remedy}")


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
