"""Configurations that runs have saved before keys moved."""

from __future__ import annotations

from typing import Any


def modern(saved: Any) -> Any:
    """A run's configuration under the keys of today. Raises AttributeError, KeyError or TypeError for what is none."""
    tokenizer = dict(saved.get("TOKENIZER") or {})
    if "CODES" in tokenizer:
        codes, decay = tokenizer.pop("CODES"), tokenizer.pop("EMA_DECAY")
        own = {name: {"quantizer": {"kind": "ema", "codes": size}} for name, size in codes.items()}
        parts = [{**part, **own.get(part["name"], {"quantizer": None})} for part in saved["PARTS"]]
        return {**saved, "PARTS": parts, "TOKENIZER": {**tokenizer, "EMA": {"DECAY": decay}}}
    return saved
