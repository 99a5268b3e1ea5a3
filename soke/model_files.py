"""Folders of models that are weights beside a configuration in JSON: written and read."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from soke.errors import UserError
from soke.hub import model_folder
from soke.saved import FORMAT, check_format, require
from soke.settings import SettingsError
from soke.storage import new_folder

WEIGHTS_FILE = "model.safetensors"

_Model = TypeVar("_Model")


def write(folder: Path | str, file: str, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """The folder appears whole or not at all; file: of the configuration, in plain types"""
    with new_folder(Path(folder)) as target:
        save_file({name: value.cpu().contiguous() for name, value in state.items()}, target / WEIGHTS_FILE)
        text = json.dumps({"format": FORMAT, **config}, indent=2, ensure_ascii=False)
        (target / file).write_text(text + "\n", encoding="utf-8")


def read(
    folder: Path | str, kind: str, file: str, remedy: str,
    build: Callable[[Mapping[str, Any], dict[str, Tensor], Path], _Model], hashed: bool = True,
) -> _Model:
    """What `build` makes of a configuration, of weights that `write` wrote, and of the configuration's file.

    folder: or its name on the hub, as `soke.hub.model_folder` takes it
    kind:   see `soke.saved.Kind`
    remedy: how such a model is trained
    hashed: whether the configuration holds the model's `hash`

    Raises UserError when the files are missing, damaged or do not belong together.
    """
    folder = model_folder(folder)
    require(folder, kind, (file, WEIGHTS_FILE), remedy)
    try:
        config = json.loads((folder / file).read_text(encoding="utf-8"))
        check_format(config, folder / file)
        model = build(config, load_file(folder / WEIGHTS_FILE), folder / file)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, SettingsError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]  # torch lists every weight that does not fit
        raise UserError(f"the {kind} in {folder} cannot be read ({reason}): {remedy}") from error
    if hashed and model.hash != config.get("hash"):
        raise UserError(f"{file} and {WEIGHTS_FILE} in {folder} do not belong together: {remedy}")
    return model
