"""SMPL-FX clips: one .npz per clip with the names that the SMPL-X tools use. Only this file knows it.

    fps                                          frames per second
    betas [10], flame_shape [300]                shape of the body and of FLAME's head
    global_orient [T, 3], body_pose [T, 63], left_hand_pose and right_hand_pose [T, 45],
    jaw_pose, leye_pose and reye_pose [T, 3]     axis-angle, radians, joints in the order of SMPL-X
    expression [T, 100], eyelids [T, 2]          coefficients of FLAME
    transl [T, 3]                                metres; not read, for signers stand in their place
    valid [T]                                    false where the fit failed
    lacking                                      names in `OBSERVABLE` of what was not observed though its key is there
    made_by                                      the model that made the motion, where one did

What has no key was not observed, and the motion says so (`Motion.lacking`). Invalid frames are left out, as missing
frames of SOKE's are: at the ends any number, between them no more than there are valid ones.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from soke.body.flame import EXPRESSIONS
from soke.body.joints import BODY, JOINT_GROUPS, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, joint_indices
from soke.body.motion import HEAD_SHAPES, OBSERVABLE, Motion
from soke.errors import UserError
from soke.storage import new_file

_EYES = JOINT_GROUPS["eyes"]
JOINTS_OF_KEY: dict[str, tuple[str, ...]] = {
    "global_orient": BODY[:1],
    "body_pose": BODY[1:],
    "left_hand_pose": LEFT_HAND,
    "right_hand_pose": RIGHT_HAND,
    "jaw_pose": ("jaw",),
    "leye_pose": _EYES[:1],
    "reye_pose": _EYES[1:],
}
NUM_EXPRESSION = EXPRESSIONS
_SIZES = {**{key: 3 * len(joints) for key, joints in JOINTS_OF_KEY.items()}, "expression": NUM_EXPRESSION, "eyelids": 2}
_SHAPES = {"betas": 10, "flame_shape": HEAD_SHAPES}
_AGAIN = "write it again"


def write_clip(path: Path, motion: Motion) -> None:
    """All that `motion` holds, whose expression is filled with zeros up to 100 coefficients.

    Raises ValueError for more coefficients than that, UserError as `new_file` does.
    """
    frames, known = motion.expression.shape
    if known > NUM_EXPRESSION:
        raise ValueError(f"an SMPL-FX clip holds {NUM_EXPRESSION} expression coefficients, the motion has {known}")
    expression = torch.zeros(frames, NUM_EXPRESSION)
    expression[:, :known] = motion.expression
    values = {key: motion.rotations[:, joint_indices(joints)].flatten(1) for key, joints in JOINTS_OF_KEY.items()}
    values |= {"expression": expression, "eyelids": motion.eyelids, "betas": motion.betas}
    values |= {"flame_shape": motion.head_shape}
    absent = {key for key in _SIZES if motion.lacking.issuperset(_seen(key))}
    arrays = {key: v.cpu().numpy() for key, v in values.items() if v is not None and key not in absent}
    partly = motion.lacking.difference(*(_seen(key) for key in absent))
    words = {"lacking": sorted(partly), "made_by": motion.made_by}
    with new_file(path) as temporary:
        np.savez(temporary, fps=np.float64(motion.fps), **arrays, **{key: word for key, word in words.items() if word})


def read_clip(path: Path, rows: Sequence[int] | None = None) -> Motion:
    """The frames of a clip.

    rows: numbers of the frames that are wanted; None: all valid ones

    Raises UserError that names the file and the cause: it cannot be read, has no frames, a key of another shape, numbers
    that are not finite, a frame rate that is none, or more invalid frames than valid ones.
    """
    with _opened(path) as archive:
        content = {key: archive[key] for key in archive.files}
        frames = _frame_count({key: len(content[key]) for key in _SIZES if key in content})
        chosen = np.asarray(_valid_frames(content, frames) if rows is None else rows, dtype=np.int64)
        return _motion(content, frames, chosen)


def outline(path: Path) -> tuple[Sequence[int], float]:
    """Numbers of the valid frames of a clip, and its frames per second, without reading the frames; the file is looked
    at again when it has changed. Raises UserError as `read_clip` does for what it has to look at."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return _outline(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1 << 17)  # of each clip it is asked for several times
def _outline(path: Path, changed: int, size: int) -> tuple[Sequence[int], float]:
    with _opened(path) as archive:
        frames = _frame_count({key: _shape(archive, key)[0] for key in _SIZES if key in archive.files})
        valid = _valid_frames(archive, frames)
        return range(frames) if len(valid) == frames else tuple(valid.tolist()), _rate(archive)


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except _Fault as fault:
        raise UserError(f"{path} {fault}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is no .npz of numbers ({type(error).__name__}: {error}); {_AGAIN}") from error


class _Fault(Exception):
    """What is the matter with a clip; the text follows the file's name."""


def _shape(archive: np.lib.npyio.NpzFile, key: str) -> tuple[int, ...]:
    """From the head of the array alone."""
    with archive.zip.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file)[0] or (0,)


def _seen(key: str) -> tuple[str, ...]:
    """Names in `OBSERVABLE` of what a key holds."""
    return JOINTS_OF_KEY.get(key, (key,))


def _motion(content: Mapping[str, np.ndarray], frames: int, kept: np.ndarray) -> Motion:
    values = {key: _numbers(content, key, (frames, size), kept) for key, size in _SIZES.items() if key in content}
    rotations = torch.zeros(len(kept), NUM_JOINTS, 3)
    for key, joints in JOINTS_OF_KEY.items():
        if key in values:
            rotations[:, joint_indices(joints)] = values[key].unflatten(1, (-1, 3))
    shapes = {key: _numbers(content, key, (size,)) for key, size in _SHAPES.items() if key in content}
    lacking = {name for key in _SIZES if key not in content for name in _seen(key)}
    lacking.update(np.atleast_1d(content["lacking"]).tolist() if "lacking" in content else ())
    if unknown := sorted(lacking.difference(OBSERVABLE)):
        raise _Fault(f"holds lacking {', '.join(map(str, unknown))}, which are neither joints, expression nor eyelids")
    return Motion(
        rotations, values.get("expression", torch.zeros(len(kept), NUM_EXPRESSION)),
        shapes.get("betas", torch.zeros(_SHAPES["betas"])), _rate(content),
        values.get("eyelids", torch.zeros(len(kept), 2)), str(content["made_by"]) if "made_by" in content else "",
        shapes.get("flame_shape"), frozenset(lacking),
    )


def _frame_count(lengths: Mapping[str, int]) -> int:
    if not lengths:
        raise _Fault(f"holds none of {', '.join(_SIZES)}: it is no SMPL-FX clip")
    if len(set(lengths.values())) > 1:
        raise _Fault(f"holds different numbers of frames: {', '.join(f'{k} {n}' for k, n in lengths.items())}")
    return next(iter(lengths.values()))


def _valid_frames(content: Mapping[str, np.ndarray], frames: int) -> np.ndarray:
    """Numbers of the frames that are valid."""
    if "valid" not in content:
        return np.arange(frames)
    valid = np.asarray(content["valid"])
    if valid.shape != (frames,) or valid.dtype.kind not in "biuf":
        raise _Fault(f"holds valid of shape {list(valid.shape)}, expected [{frames}] truth values")
    if not ((valid == 0) | (valid == 1)).all():
        raise _Fault("holds valid that is neither 0 nor 1 in some frames; write whether each frame is valid, not how good it is")
    kept = np.flatnonzero(valid)
    gaps = int(kept[-1] - kept[0]) + 1 - len(kept) if len(kept) else frames
    if gaps > len(kept):
        raise _Fault(f"holds {len(kept)} valid frames and {gaps} invalid ones between them; fit it again")
    return kept


def _rate(content: Mapping[str, np.ndarray]) -> float:
    if "fps" not in content:
        raise _Fault("lacks fps, its frame rate")
    fps = np.asarray(content["fps"])
    if fps.size != 1 or fps.dtype.kind not in "iuf" or not 0 < float(fps.item()) < np.inf:
        shown = fps if fps.size == 1 else f"of shape {list(fps.shape)}"
        raise _Fault(f"holds fps {shown}, which is no frame rate")
    return float(fps.item())


def _numbers(
    content: Mapping[str, np.ndarray], key: str, shape: tuple[int, ...], kept: np.ndarray | slice = slice(None)
) -> torch.Tensor:
    """The rows `kept` of a key; what the others hold does not matter."""
    found = content[key]
    if found.shape != shape or found.dtype.kind not in "iuf":
        raise _Fault(f"holds {key} of shape {list(found.shape)} ({found.dtype}), expected {list(shape)} numbers")
    values = torch.from_numpy(np.ascontiguousarray(found[kept], dtype=np.float32))
    if not values.isfinite().all():
        raise _Fault(f"holds numbers in {key} that are not finite")
    return values
