"""FLAME's head from the files that people have of it: npz, or the official pickle with chumpy and scipy objects."""
from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soke.body.motion import HEAD_SHAPES
from soke.errors import UserError
from soke.pickles import load_pickle

VERTICES = 5023
EXPRESSIONS = 100
_EYE_JOINTS = [3, 4]  # left and right, of root, neck, jaw and these
LIDS = ("l_eyelid.npy", "r_eyelid.npy")
_LID = 0.05  # metres; those of the public files are at most 0.01
LIP_RINGS = "lip_rings.npz"  # only where the numbering is not that of the public FLAME
# Vertices round the mouth, corner to corner, in the public FLAME's numbering (VHAP).
_UPPER_LIP = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832, 2830)
_LOWER_LIP = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713, 2712)


@dataclass(frozen=True)
class Flame:
    """A FLAME model: H = 5023 vertices, in metres, y up, facing +z.

    file:       that it was read from
    template:   [H, 3]
    faces:      [F, 3]
    shape:      [H, 3, 300]
    expression: [H, 3, 100]
    eyes:       [3] mid-point of the eye joints
    eyelids:    [H, 3, 2] left and right, added once for a coefficient of 1; None where there are no files of them
    lips:       [2, 15] vertices round the mouth, of the upper and the lower lip, corner to corner
    """

    file: Path
    template: np.ndarray
    faces: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    eyes: np.ndarray
    eyelids: np.ndarray | None
    lips: np.ndarray


def read_flame(file: Path) -> Flame:
    """FLAME and what lies beside it: `l_eyelid.npy` and `r_eyelid.npy`, and `lip_rings.npz` (`upper`, `lower`) of a
    head in another numbering.

    Raises UserError that names the file: it is no FLAME model, has too few directions, or its neighbours do not fit it.
    """
    content = _arrays(file)
    template = _floats(content, "v_template", file)
    if template.shape != (VERTICES, 3):
        raise UserError(f"{file} has {len(template)} vertices, FLAME has {VERTICES}: it is another model's file")
    directions = _floats(content, "shapedirs", file)
    if directions.shape[:2] != (VERTICES, 3) or directions.shape[-1] < HEAD_SHAPES + EXPRESSIONS:
        raise UserError(
            f"{file} has {directions.shape[-1]} shape directions, SMPL-FX needs {HEAD_SHAPES + EXPRESSIONS} "
            f"({HEAD_SHAPES} of shape, {EXPRESSIONS} of expression): take the file of FLAME 2020 or 2023"
        )
    regressor = _floats(content, "J_regressor", file)
    if regressor.shape != (5, VERTICES):
        raise UserError(f"{file} has a J_regressor of {list(regressor.shape)}, FLAME's is [5, {VERTICES}]")
    return Flame(
        file, template, _faces(content, file), directions[..., :HEAD_SHAPES],
        directions[..., HEAD_SHAPES : HEAD_SHAPES + EXPRESSIONS], (regressor[_EYE_JOINTS] @ template).mean(axis=0),
        _eyelids(file.parent), _lips(file.parent / LIP_RINGS),
    )


def read_vertex_ids(file: Path) -> np.ndarray:
    """[5023] SMPL-X's vertices in FLAME's order. Raises UserError that names the file when it cannot be that."""
    ids = _array_file(file)
    if ids.shape != (VERTICES,) or ids.dtype.kind not in "iu" or len(np.unique(ids)) < VERTICES or ids.min() < 0:
        raise UserError(
            f"{file} must hold {VERTICES} different vertices, one for each of FLAME's, not an array of "
            f"{list(ids.shape)} {ids.dtype} with {len(np.unique(ids))} different values: it is of another model"
        )
    return ids.astype(np.int64)


def _arrays(file: Path) -> Mapping[str, Any]:
    if file.suffix == ".npz":
        return _npz(file)
    content = load_pickle(file, stand_ins=_STAND_INS)
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no FLAME model, but a {type(content).__name__}")
    return content


def _npz(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} cannot be read as arrays in npz format ({error})") from None


def _floats(content: Mapping[str, Any], name: str, file: Path) -> np.ndarray:
    try:
        values = np.asarray(_plain(content[name]), dtype=np.float32)
    except KeyError:
        raise UserError(f"{file} has no {name}: it is no FLAME model") from None
    except (TypeError, ValueError, IndexError) as error:
        raise UserError(f"{file} has a {name} that is no array of numbers ({error})") from None
    if values.ndim < 2 or not np.isfinite(values).all():
        raise UserError(f"{file} has a {name} of {list(values.shape)} that is no matrix of finite numbers")
    return values


def _faces(content: Mapping[str, Any], file: Path) -> np.ndarray:
    faces = _floats(content, "f", file).astype(np.int64)
    if faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= VERTICES:
        raise UserError(f"{file} has triangles that name other vertices than its {VERTICES}")
    return faces


def _eyelids(folder: Path) -> np.ndarray | None:
    files = [folder / name for name in LIDS]
    if not all(file.is_file() for file in files):
        return None
    lids = [_array_file(file) for file in files]
    for file, lid in zip(files, lids):
        if lid.shape != (VERTICES, 3) or lid.dtype.kind != "f":
            raise UserError(f"{file} must hold [{VERTICES}, 3] metres, not {list(lid.shape)} {lid.dtype}")
        if not np.abs(lid).max() <= _LID:
            raise UserError(
                f"{file} must hold metres, which move no vertex of a lid further than {_LID}, but it holds numbers up to "
                f"{np.abs(lid).max():g}: it is in another unit, or damaged"
            )
    return np.stack(lids, axis=2).astype(np.float32)


def _lips(file: Path) -> np.ndarray:
    if not file.is_file():
        return np.array([_UPPER_LIP, _LOWER_LIP])
    rings = _npz(file)
    lips = [rings.get(lip, np.empty(0)) for lip in ("upper", "lower")]
    if any(ring.shape != (15,) or not np.isin(ring, np.arange(VERTICES)).all() for ring in lips):
        raise UserError(f"{file} must hold `upper` and `lower`, 15 of FLAME's {VERTICES} vertices each")
    return np.stack(lips).astype(np.int64)


def _array_file(file: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} cannot be read as an array ({error})") from None


class _Object:
    """Stands in for an object of a library that need not be installed: its state, and nothing else of it."""

    def __init__(self, *_args: Any):
        self.state: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Value(_Object):
    """chumpy's array."""

    def array(self) -> Any:
        return _plain(self.state["x"])


class _Selection(_Object):
    """chumpy's selection of elements of another array."""

    def array(self) -> np.ndarray:
        chosen = np.ravel(_plain(self.state["a"]))[np.asarray(_plain(self.state["idxs"]))]
        return chosen.reshape(self.state.get("preferred_shape", chosen.shape))


class _Sparse(_Object):
    """scipy's matrix in compressed columns or rows."""

    by_columns = True

    def array(self) -> np.ndarray:
        shape = self.state["_shape"] if "_shape" in self.state else self.state["shape"]
        indptr, indices, data = (np.asarray(self.state[name]) for name in ("indptr", "indices", "data"))
        dense = np.zeros(shape)
        spread = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        np.add.at(dense, (indices, spread) if self.by_columns else (spread, indices), data)
        return dense


class _SparseRows(_Sparse):
    by_columns = False


def _plain(value: Any) -> Any:
    return value.array() if isinstance(value, _Object) else value


def _rebuilt(kind: type, *_base: Any) -> Any:
    """copyreg's `_reconstructor`, of stand-ins alone."""
    if not (isinstance(kind, type) and issubclass(kind, _Object)):
        raise TypeError("only stand-ins are rebuilt")
    return kind()


_STAND_INS: dict[tuple[str, str], Any] = {
    ("chumpy.ch", "Ch"): _Value,
    ("chumpy.reordering", "Select"): _Selection,
    ("copyreg", "_reconstructor"): _rebuilt,
    ("copy_reg", "_reconstructor"): _rebuilt,
    ("builtins", "object"): _Object,
    ("__builtin__", "object"): _Object,
}
for _module in ("csc", "_csc"):
    _STAND_INS[f"scipy.sparse.{_module}", "csc_matrix"] = _Sparse
for _module in ("csr", "_csr"):
    _STAND_INS[f"scipy.sparse.{_module}", "csr_matrix"] = _SparseRows
