"""Faces that were tracked in FLAME: Pixel3DMM, VHAP (GaussianAvatars), MEAD in EMOTE's form.

Where the head is in front of the camera is not read: FLAME's global rotation and neck are not SMPL-X's.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soke.body.flame import EXPRESSIONS
from soke.body.motion import HEAD_SHAPES, Motion
from soke.data.clip import ClipError
from soke.data.foreign.assembling import EYES, Rules, assembled, from_6d, gaps_of, named, taken
from soke.data.storage.loading import sorted_frames
from soke.errors import UserError
from soke.pickles import load_saved

_PERSON = re.compile("[MW][0-9]{3}")  # as MEAD calls those who are seen


class Pixel3DMM:
    """`<clip>/checkpoint/{frame:05d}.frame`, torch.save of a dict of arrays: exp, shape, eyes, eyelids, jaw."""

    def __init__(self, path: Path, rules: Rules):
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        self._folders = _clips(path, "checkpoint/*.frame", 2)

    @property
    def names(self) -> list[str]:
        return list(self._folders)

    def read(self, name: str) -> Motion:
        folder = self._folders[name] / "checkpoint"
        where = named(name, folder)
        files, self.gaps[name] = _numbered(folder, ".frame", where)
        contents = [load_saved(file) for file in files]
        frames = {
            key: _stacked([_group(content, "flame", where) for content in contents], key, width, where)
            for key, width in (("exp", EXPRESSIONS), ("shape", HEAD_SHAPES), ("eyes", 12), ("eyelids", 2), ("jaw", 6))
        }
        eyes, jaw = (from_6d(frames[key], self.rules) for key in ("eyes", "jaw"))
        joints = {EYES: eyes, ("jaw",): jaw}
        return assembled(
            where, joints, frames["exp"], frames["eyelids"], self.rules, head_shape=frames["shape"][0].numpy()
        )


class Vhap:
    """`<clip>/flame_param.npz`, or `<clip>/flame_param/{frame:05d}.npz`: axis-angle, 100 coefficients, no eyelids."""

    def __init__(self, path: Path, rules: Rules):
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        single = _clips(path, "flame_param/*.npz", 2, needed=False)
        self._folders = {**single, **_clips(path, "flame_param.npz", 1, needed=not single)}

    @property
    def names(self) -> list[str]:
        return list(self._folders)

    def read(self, name: str) -> Motion:
        whole, folder = (self._folders[name] / stem for stem in ("flame_param.npz", "flame_param"))
        where = named(name, whole if whole.is_file() else folder)
        files, self.gaps[name] = ([whole], 0) if whole.is_file() else _numbered(folder, ".npz", where)
        contents = [_npz(file, where) for file in files]
        sizes = (("expr", EXPRESSIONS), ("jaw_pose", 3), ("eyes_pose", 6))
        found = {key: _stacked(contents, key, width, where) for key, width in sizes}
        joints = {("jaw",): found["jaw_pose"][:, None], EYES: found["eyes_pose"].unflatten(1, (2, 3))}
        shape = contents[0].get("shape")
        if shape is None:
            raise ClipError(f"{where} lacks shape")
        return assembled(where, joints, found["expr"], None, self.rules, head_shape=shape)


class Mead:
    """`…/<sequence>/<method>/shape_pose_cam.hdf5` of EMOTE: shape, exp and jaw (axis-angle), each [1, T, …].

    Old files have them in the group `data`, under names in quotation marks (hickle). Neither eyelids nor eyes. The shape
    is the mean over a sequence's frames.
    """

    def __init__(self, path: Path, rules: Rules):
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        self._folders = _clips(path, "*/shape_pose_cam.hdf5", 2)

    @property
    def names(self) -> list[str]:
        return list(self._folders)

    @property
    def people(self) -> dict[str, str]:
        """Name -> who is seen: the last step of its path that is called as MEAD calls people, else the name's first."""
        steps = {name: folder.resolve().parts for name, folder in self._folders.items()}
        return {
            name: next(filter(_PERSON.fullmatch, reversed(of)), name.split("/")[0]) for name, of in steps.items()
        }

    def read(self, name: str) -> Motion:
        files = sorted(self._folders[name].glob("*/shape_pose_cam.hdf5"))
        where = named(name, files[0])
        if len(files) > 1:
            methods = ", ".join(file.parent.name for file in files)
            raise ClipError(f"{named(name, self._folders[name])} holds several methods ({methods}); keep one")
        content = _hdf5(files[0], where)
        widths = {key: np.shape(content.get(key, ()))[-1:] for key in ("exp", "shape")}
        expression, shape = (
            taken(content, key, min(widths[key][0], most) if widths[key] else most, where, more=True)
            for key, most in (("exp", EXPRESSIONS), ("shape", HEAD_SHAPES))
        )
        joints = {("jaw",): taken(content, "jaw", 3, where)[:, None]}
        return assembled(where, joints, expression, None, self.rules, head_shape=shape.mean(0).numpy())


def _clips(path: Path, pattern: str, up: int, needed: bool = True) -> dict[str, Path]:
    """Name -> folder of the clips below `path`, found by a file so many folders up; `path` itself may be one."""
    if not path.is_dir():
        raise UserError(f"{path} is no folder: --from names the folder that holds the clips' folders")
    found = {file.parents[up - 1] for file in path.rglob(pattern)}
    names = {folder.relative_to(path).as_posix() if folder != path else path.name: folder for folder in sorted(found)}
    if needed and not names:
        raise UserError(f"{path} holds no clips: nothing in it is called {pattern}")
    return names


def _numbered(folder: Path, suffix: str, where: str) -> tuple[list[Path], int]:
    """A clip's files of one frame each, in order of time, and how many are missing in between."""
    try:
        found = sorted_frames(sorted(file.name for file in folder.glob(f"*{suffix}")))
    except ValueError as error:
        raise ClipError(f"{where} {error}") from None
    return [folder / name for name in found.names], gaps_of(where, found.numbers)


def _group(content: Any, group: str, where: str) -> Mapping[str, Any]:
    """A dict of a dict, or the keys `group.key` of a flat one."""
    if not isinstance(content, Mapping):
        raise ClipError(f"{where} holds a {type(content).__name__}, not the dict of a frame")
    if isinstance(content.get(group), Mapping):
        return content[group]
    return {key.removeprefix(f"{group}."): value for key, value in content.items() if str(key).startswith(f"{group}.")}


def _stacked(contents: list[Mapping[str, Any]], key: str, width: int, where: str) -> Tensor:
    """[T, width] of a clip's files, each of one frame or of all."""
    return torch.cat([taken(_rows(content, key), key, width, where) for content in contents])


def _rows(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """With a single frame's vector as a row."""
    value = content.get(key)
    return {**content, key: value[None]} if isinstance(value, np.ndarray) and value.ndim == 1 else content


def _npz(file: Path, where: str) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            wanted = ("expr", "shape", "jaw_pose", "eyes_pose")
            return {key: archive[key] for key in archive.files if key in wanted}
    except Exception as error:  # damaged bytes can raise nearly anything
        raise ClipError(f"{where} cannot be read: {file.name} is no .npz of numbers ({error})") from error


def _hdf5(file: Path, where: str) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"reading {file} needs the package h5py: pip install h5py") from error
    try:
        with h5py.File(file, "r") as content:
            group = content["data"] if isinstance(content.get("data"), h5py.Group) else content
            return {key.strip("\"'"): value[()] for key, value in group.items() if isinstance(value, h5py.Dataset)}
    except OSError as error:
        raise ClipError(f"{where} is no HDF5 file that can be read ({error})") from error
