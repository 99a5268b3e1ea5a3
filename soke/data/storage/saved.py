"""Motions in files of their own, as a test saves its predictions: .npz with the names and units of `Motion`, or of
`JointMotion`."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.errors import UserError
from soke.storage import new_file

_Found = TypeVar("_Found")


def write_motion(path: Path, motion: Motion | JointMotion) -> None:
    """All that `motion` holds. Raises UserError as `new_file` does."""
    with new_file(path) as temporary:
        np.savez_compressed(temporary, **_arrays(motion))


def read_motion(path: Path) -> Motion | JointMotion:
    """What `write_motion` wrote. Raises UserError that names the file: missing, damaged, or another content."""
    return _read(path, lambda archive: _motion({name: archive[name] for name in archive.files}))


def write_motions(path: Path, motions: Sequence[Motion | JointMotion], counts: Mapping[str, int]) -> None:
    """Several motions in one file, quickly, with numbers that belong to them. Raises UserError as `new_file` does."""
    arrays = {f"{i}.{name}": value for i, motion in enumerate(motions) for name, value in _arrays(motion).items()}
    with new_file(path) as temporary:
        np.savez(temporary, **arrays, **{f"count.{name}": count for name, count in counts.items()})


def read_motions(path: Path) -> tuple[list[Motion | JointMotion], dict[str, int]]:
    """What `write_motions` wrote, to the last bit. Raises UserError as `read_motion` does."""
    return _read(path, _motions)


def _motions(archive: np.lib.npyio.NpzFile) -> tuple[list[Motion | JointMotion], dict[str, int]]:
    values: dict[str, dict[str, np.ndarray]] = {}
    for name in archive.files:
        number, _, field = name.partition(".")
        values.setdefault(number, {})[field] = archive[name]
    counts = {name: int(count) for name, count in values.pop("count", {}).items()}
    return [_motion(values[str(number)]) for number in range(len(values))], counts


def _arrays(motion: Motion | JointMotion) -> dict[str, Any]:
    values = {f.name: getattr(motion, f.name) for f in fields(motion)}
    values["lacking"] = sorted(motion.lacking) or None  # an array of no names would have no type
    return {name: v.cpu().numpy() if isinstance(v, Tensor) else v for name, v in values.items() if v is not None}


def _motion(arrays: Mapping[str, np.ndarray]) -> Motion | JointMotion:
    """The inverse of `_arrays`."""
    tensors = {
        name: torch.from_numpy(arrays[name])
        for name in ("rotations", "expression", "betas", "eyelids", "head_shape", "positions") if name in arrays
    }
    made_by, fps = str(arrays.get("made_by", "")), float(arrays["fps"])
    lacking = frozenset(arrays["lacking"].tolist()) if "lacking" in arrays else frozenset()
    if "positions" in tensors:
        return JointMotion(tensors["positions"], tuple(arrays["joints"].tolist()), fps, made_by, lacking)
    return Motion(**tensors, fps=fps, made_by=made_by, lacking=lacking)


def _read(path: Path, found: Callable[[np.lib.npyio.NpzFile], _Found]) -> _Found:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return found(archive)
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is no saved motion ({type(error).__name__}: {error}); save it again") from error
