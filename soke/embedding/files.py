"""Folders of this room's models."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from soke import model_files
from soke.data.clip import OF_SIGNERS
from soke.errors import UserError

_Model = TypeVar("_Model")


def read(
    folder: Path | str, kind: str, file: str, remedy: str, build: Callable[[Mapping[str, Any], dict[str, Tensor]], _Model]
) -> _Model:
    """As `soke.model_files.read`, of models that have `provenance`; refuses one that was trained on anything but signers'
    motion, too (UserError)."""
    def built(config: Mapping[str, Any], weights: dict[str, Tensor], path: Path) -> _Model:
        config["provenance"]["trained_on"]  # without it the folder is damaged
        return build(config, weights)

    model = model_files.read(folder, kind, file, remedy, built)
    trained_on = model.provenance["trained_on"]
    if trained_on != OF_SIGNERS:
        raise UserError(
            f"the {kind} in {folder} was trained on {trained_on}, but what scores motion is trained on signers' motion "
            f"alone: {remedy}"
        )
    return model
