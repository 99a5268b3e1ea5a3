"""Saved tokenizers: the files of a folder, and whether what is found fits what is expected."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from soke.errors import UserError

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/deto.yaml --nodebug`"


def saved_hash(folder: Path) -> str | None:
    """The hash of the tokenizer that is saved in a folder; None where none is, or none that says it."""
    try:
        return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("hash")
    except (OSError, ValueError, AttributeError):
        return None


def check_provenance(found: Mapping, expected: Mapping, source: str) -> None:
    """Raises UserError that names both values of the first entry of `expected` in which `found` differs."""
    for key, value in expected.items():
        if found.get(key) != value:
            raise UserError(
                f"{source} does not fit: its {key.replace('_', ' ')} is {found.get(key)}, here it is {value}; "
                f"use the layout, statistics and settings it was trained with, or {HOW_TO_TRAIN}"
            )
