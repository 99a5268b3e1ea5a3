"""Motions in files of their own, as a test saves its predictions: .npz with the names and units of `Motion`, or of
`JointMotion`."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.errors import UserError
from soke.storage import new_file


def write_motion(path: Path, motion: Motion | JointMotion) -> None:
    """All that `motion` holds. Raises UserError as `new_file` does."""
    values = {f.name: getattr(motion, f.name) for f in fields(motion)}
    values["lacking"] = sorted(motion.lacking) or None  # an array of no names would have no type
    arrays = {name: v.cpu().numpy() if isinstance(v, Tensor) else v for name, v in values.items() if v is not None}
    with new_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_motion(path: Path) -> Motion | JointMotion:
    """What `write_motion` wrote. Raises UserError that names the file: missing, damaged, or another content."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            tensors = {
                name: torch.from_numpy(archive[name])
                for name in ("rotations", "expression", "betas", "eyelids", "head_shape", "positions")
                if name in archive
            }
            made_by = str(archive["made_by"]) if "made_by" in archive else ""
            fps = float(archive["fps"])
            lacking = frozenset(archive["lacking"].tolist()) if "lacking" in archive else frozenset()
            if "positions" in tensors:
                return JointMotion(tensors["positions"], tuple(archive["joints"].tolist()), fps, made_by, lacking)
            return Motion(**tensors, fps=fps, made_by=made_by, lacking=lacking)
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is no saved motion ({type(error).__name__}: {error}); save it again") from error
