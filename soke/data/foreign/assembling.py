"""From another tool's arrays to a motion that says what was observed: what all readers have in common."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from soke.body.joints import JOINT_GROUPS, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, joint_indices
from soke.body.motion import HEAD_SHAPES, OBSERVABLE, Motion
from soke.body.rotations import axis_angle_from_6d, mirror_axis_angle
from soke.data.clip import ClipError
from soke.data.storage.loading import one_in
from soke.data.storage.smplfx_clips import NUM_EXPRESSION
from soke.pickles import TorchValue

SixD = Literal["rows", "columns"]
EYES = JOINT_GROUPS["eyes"]
_LOST = 0.5  # of a clip's frames, at most, may be left out between its first and last


@dataclass(frozen=True)
class Rules:
    """How another tool's numbers are to be understood.

    fps:       frames per second
    six_d:     whether six numbers are the first two rows of the rotation's matrix, or its first two columns, one after
               the other
    hand_mean: [2, 15, 3] of the left and the right hand, axis-angle, which a body adds to the hands' rotations and which
               the tool's already have in them; None: they stay as they are
    mirrored:  whether the left hand is written as its mirror image, a right one (MANO's networks)
    open_lids: eyelids that were not observed are taken for open, zero
    eyes_rest: eyes that were not observed are taken to look straight ahead
    """

    fps: float
    six_d: SixD = "rows"
    hand_mean: Tensor | None = None
    mirrored: bool = False
    open_lids: bool = False
    eyes_rest: bool = False


class ForeignClips(Protocol):
    """The clips of another tool: their names, and the motion of one. `read` raises ClipError for one that is bad.

    gaps: clip that was read -> frames that are missing between its first and last
    """

    names: list[str]
    gaps: dict[str, int]

    def read(self, name: str) -> Motion: ...


def assembled(
    where: str, joints: Mapping[tuple[str, ...], Tensor], expression: Tensor | None, eyelids: Tensor | None, rules: Rules,
    betas: np.ndarray | None = None, head_shape: np.ndarray | None = None, made_by: str = "",
) -> Motion:
    """A motion of what was observed, which says what was not. Coefficients that a tool does not have are zero.

    where:      the clip and its file, for errors
    joints:     joints -> [T, J, 3] axis-angle in radians
    expression: [T, up to 100], eyelids [T, 2], of FLAME; None: not observed
    betas:      of the body, of which the first 10 are kept; head_shape: up to 300 of FLAME
    made_by:    see `Motion`

    Raises ClipError for different numbers of frames, and for numbers that are not finite.
    """
    given = {", ".join(names[:1]): values for names, values in joints.items()}
    given |= {k: v for k, v in {"expression": expression, "eyelids": eyelids}.items() if v is not None}
    lengths = {key: len(values) for key, values in given.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ClipError(f"{where} has different numbers of frames: {', '.join(f'{k} {n}' for k, n in lengths.items())}")
    for key, values in given.items():
        if not values.isfinite().all():
            raise ClipError(f"{where} holds numbers for {key} that are not finite, or no rotation")
    frames = next(iter(lengths.values()))
    rotations = torch.zeros(frames, NUM_JOINTS, 3)
    for names, values in joints.items():
        rotations[:, joint_indices(names)] = _of_hand(names, values.float(), rules)
    seen = {name for names in joints for name in names}
    seen |= {key for key in ("expression", "eyelids") if key in given}
    seen |= ({"eyelids"} if rules.open_lids else set()) | (set(EYES) if rules.eyes_rest else set())
    motion = Motion(
        rotations, _filled(where, "expression", expression, frames), torch.zeros(10), rules.fps,
        torch.zeros(frames, 2) if eyelids is None else eyelids.float(), made_by, lacking=frozenset(OBSERVABLE) - seen,
    )
    shapes: dict[str, Tensor] = {}
    if betas is not None:
        shapes["betas"] = _shape(where, "betas", betas[:10], 10)
    if head_shape is not None:
        shapes["head_shape"] = _shape(where, "head shape", head_shape, HEAD_SHAPES)
    return replace(motion, **shapes)


def from_6d(values: Tensor, rules: Rules) -> Tensor:
    """[T, 6 J] -> [T, J, 3] axis-angle; not finite for six numbers that make no rotation."""
    turned = axis_angle_from_6d(values.unflatten(1, (-1, 6)).double())
    turned = turned if rules.six_d == "rows" else -turned  # columns read as rows are those of the inverse
    return turned.float()


def taken(content: Mapping[str, Any], key: str, width: int, where: str, more: bool = False) -> Tensor:
    """The numbers [T, width] of a key, of an array [1, T, ...] or [T, ...].

    more: further columns are there, or may be, and are left out

    Raises ClipError that names `where` and the key: it is missing, holds no numbers, or has another width.
    """
    if key not in content:
        raise ClipError(f"{where} lacks {key}; it has {', '.join(map(str, content)) or 'nothing'}")
    found = content[key]
    if isinstance(found, TorchValue):
        raise ClipError(f"{where} holds {key} as a torch tensor; write it anew with numpy arrays (tensor.numpy())")
    if not isinstance(found, (np.ndarray, np.generic, list, tuple, float, int)):
        raise ClipError(f"{where} holds {key} of type {type(found).__name__}, not an array of numbers")
    values = np.asarray(found)
    if values.ndim == 3 and values.shape[0] == 1 and values.shape[2] >= width:
        values = values[0]
    flat = values.reshape(len(values), -1) if values.ndim > 1 and len(values) else values
    fits = flat.ndim == 2 and (flat.shape[1] >= width if more else flat.shape[1] == width)
    if values.dtype.kind not in "iuf" or not fits:
        raise ClipError(
            f"{where} holds {key} of shape {list(values.shape)} ({values.dtype}), expected "
            f"[T, {'at least ' if more else ''}{width}] numbers"
        )
    return torch.from_numpy(flat[:, :width].astype(np.float32))


def gaps_of(where: str, numbers: Sequence[int]) -> int:
    """How many frames are missing between the first and the last of those that are there, whose ascending numbers are given.
    Raises ClipError for too many, and when what is there are every N-th alone."""
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if missing > _LOST * (missing + len(numbers)):
        raise ClipError(f"{where} lacks {missing} of the {missing + len(numbers)} frames; track it again")
    step = one_in(numbers)
    if step > 1:
        raise ClipError(
            f"{where} holds one frame in {step}, which are {step} times as fast; track the others, or number these one by one "
            "and give their rate with --fps"
        )
    return missing


def named(name: str, path: Path | str) -> str:
    """How errors call a clip."""
    return f"clip {name}: {path}"


def _of_hand(names: tuple[str, ...], values: Tensor, rules: Rules) -> Tensor:
    if names == LEFT_HAND and rules.mirrored:
        values = mirror_axis_angle(values)
    if rules.hand_mean is not None and names in (LEFT_HAND, RIGHT_HAND):
        values = values - rules.hand_mean[int(names == RIGHT_HAND)]  # a body adds it to these three numbers
    return values


def _filled(where: str, key: str, values: Tensor | None, frames: int) -> Tensor:
    known = 0 if values is None else values.shape[1]
    if known > NUM_EXPRESSION:
        raise ClipError(f"{where} holds {known} coefficients of {key}, at most {NUM_EXPRESSION} are known")
    filled = torch.zeros(frames, NUM_EXPRESSION)
    if values is not None:
        filled[:, :known] = values
    return filled


def _shape(where: str, key: str, values: np.ndarray, size: int) -> Tensor:
    """The numbers of a shape, zeros behind them."""
    flat = np.asarray(values, dtype=np.float32).ravel()
    if len(flat) > size or not np.isfinite(flat).all():
        raise ClipError(f"{where} holds a {key} of {len(flat)} numbers, expected up to {size} finite ones")
    filled = torch.zeros(size)
    filled[: len(flat)] = torch.from_numpy(flat)
    return filled
