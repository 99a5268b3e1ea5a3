"""Configurations that runs have saved before keys moved."""

from __future__ import annotations

import re
from typing import Any

from soke.body.joints import expanded


def modern(saved: Any) -> Any:
    """A run's configuration under the keys of today, with the joints of its parts by their own names. Raises
    AttributeError, KeyError or TypeError for what is none."""
    return _with_readers(_with_joints(_with_optimiser(_with_quantizers(saved))))


def reader_today(path: str) -> str:
    """Where a class that reads corpora lies now: those of this package lay in soke.data itself."""
    moved = "skels|dwpose|slrtp|how2sign|csl_daily|phoenix14t|nmfs_csl|face_clips"
    return re.sub(rf"^soke\.data\.({moved})\.", r"soke.data.corpora.\1.", path)


def _with_readers(saved: Any) -> Any:
    data = saved.get("DATASET") or {}
    corpora = {
        name: corpus and {**corpus, "READER": reader_today(corpus.get("READER") or "")}
        for name, corpus in (data.get("CORPORA") or {}).items()
    }
    return {**saved, "DATASET": {**data, "CORPORA": corpora}}


def _with_quantizers(saved: Any) -> Any:
    """Codebooks were TOKENIZER.CODES, and TOKENIZER.EMA_DECAY was of all."""
    tokenizer = dict(saved.get("TOKENIZER") or {})
    if "CODES" not in tokenizer:
        return saved
    codes, decay = tokenizer.pop("CODES"), tokenizer.pop("EMA_DECAY")
    own = {name: {"kind": "ema", "codes": size} for name, size in codes.items()}
    parts = [{**part, "quantizer": own.get(part["name"])} for part in saved["PARTS"]]
    return {**saved, "PARTS": parts, "TOKENIZER": {**tokenizer, "EMA": {"DECAY": decay}}}


def _with_optimiser(saved: Any) -> Any:
    """Back-translation had Adam and a plateau, TRANSLATION.PATIENCE and TRANSLATION.DECAY; all others had none."""
    translation = dict(saved.get("TRANSLATION") or {})
    if "PATIENCE" not in translation:
        return saved
    plateau = {"PATIENCE": translation.pop("PATIENCE"), "FACTOR": translation.pop("DECAY")}
    if saved["TRAIN"]["STAGE"] == "translation":
        plateau |= {"KIND": "adam", "SCHEDULE": "plateau"}
    train = {**saved["TRAIN"], "OPTIM": {**saved["TRAIN"]["OPTIM"], **plateau}}
    return {**saved, "TRAIN": train, "TRANSLATION": translation}


def _with_joints(saved: Any) -> Any:
    parts = [{**part, "joints": list(expanded(part["joints"]))} for part in saved.get("PARTS") or []]
    return {**saved, "PARTS": parts}
