"""Files of the SLRTP 2025 challenge: {id: {name, text, gloss, poses_3d [N, 178, 3], speaker}}, by torch.save, 25 frames/s.

They are a corpus that is trained and tested on, and what others' outputs come in; written is the same.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from soke.body.joints import SKELETON_LEFT_HAND, SKELETON_RIGHT_HAND
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import UNKNOWN_UNIT, Up
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.listed import ListedCorpus
from soke.data.corpora.listing import MIN_FRAMES, fault_of_words
from soke.errors import UserError
from soke.pickles import TorchValue, load_saved
from soke.storage import new_file

SUFFIX = ".pt"
FPS = 25.0
_ARMS = [f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")]
JOINTS = (
    *_ARMS, "right_hip", "left_hip", *SKELETON_RIGHT_HAND, *SKELETON_LEFT_HAND, *(f"face{i}" for i in range(1, 129)),
)
_STEMS = {"train": ("train",), "val": ("dev", "val"), "test": ("test",)}


@dataclass(frozen=True)
class SlrtpClip:
    """An entry.

    positions: [N, 178, 3] float32
    made_by:   as of `JointMotion`; a key besides the format's, which other readers pass over
    others:    as in the file, "" where it has none
    """

    name: str
    text: str
    positions: torch.Tensor
    gloss: str = ""
    speaker: str = ""
    made_by: str = ""

    @property
    def motion(self) -> JointMotion:
        return JointMotion(self.positions, JOINTS, FPS, self.made_by)


def read_slrtp(path: Path) -> tuple[dict[str, SlrtpClip], dict[str, str]]:
    """id -> entry, and id -> why it cannot be used. Tensors and numpy arrays are read, and nothing of it is run.

    Raises UserError that names the file: it cannot be read, or is no such file.
    """
    content = _content(Path(path))
    if not isinstance(content, Mapping) or not all(isinstance(entry, Mapping) for entry in content.values()):
        raise UserError(f"{path} is no file of SLRTP's: it must hold {{id: {{name, text, gloss, poses_3d, speaker}}}}")
    clips, faults = {}, {}
    for key, entry in content.items():
        try:
            clips[str(key)] = _entry(str(key), entry)
        except ValueError as error:
            faults[str(key)] = str(error)
    return clips, faults


def write_slrtp(path: Path, clips: Mapping[str, SlrtpClip]) -> None:
    """Raises ValueError for positions of another shape, and UserError as `new_file` does."""
    for clip in clips.values():
        if clip.positions.shape[1:] != (len(JOINTS), 3):
            raise ValueError(f"clip {clip.name}: positions must be [N, {len(JOINTS)}, 3]")
    content = {
        key: {
            "name": c.name, "text": c.text, "gloss": c.gloss, "poses_3d": c.positions.float().contiguous().clone(),
            "speaker": c.speaker, **({"made_by": c.made_by} if c.made_by else {}),
        }
        for key, c in clips.items()
    }
    with new_file(path) as temporary:
        torch.save(content, temporary)


def in_slrtp_s_order(motion: Motion | JointMotion) -> torch.Tensor:
    """[T, 178, 3] at 25 frames/s. Raises ValueError for rotations, and for a motion without some of the joints."""
    if isinstance(motion, Motion):
        raise ValueError(f"it holds rotations, and a body has not all of SLRTP's {len(JOINTS)} joints")
    absent = [joint for joint in JOINTS if joint not in motion.joints]
    if absent:
        others = f" and {len(absent) - 1} others" * (len(absent) > 1)
        raise ValueError(f"it has no joint {absent[0]}{others} of SLRTP's {len(JOINTS)}")
    return motion.resampled(FPS).positions[:, [motion.joints.index(joint) for joint in JOINTS]]


class SlrtpCorpus(ListedCorpus):
    """train.pt, dev.pt (or val.pt) and test.pt in a folder. y points down, as in the challenge's own pictures,
    which show the positions from +z after half a turn about z, as ours do; the unit is [A].

    Raises UserError when the folder does not exist.
    """

    name, language, fps = "slrtp", "DGS", FPS
    unit = UNKNOWN_UNIT
    up: Up = "-y"

    def __init__(self, root: Path | str):
        super().__init__(root, f"{SUFFIX} files")
        self._motions: dict[tuple[str, str], SlrtpClip] = {}

    def load(self, clip: Clip) -> JointMotion:
        """Raises ClipError for too few frames."""
        motion = self._of(clip).motion
        if len(motion) < MIN_FRAMES:
            raise ClipError(f"clip {clip.name}: {len(motion)} frames, at least {MIN_FRAMES} are needed")
        return motion

    def length(self, clip: Clip) -> int:
        """How many frames `load` gives."""
        return len(self._of(clip).positions)

    def _of(self, clip: Clip) -> SlrtpClip:
        self._list(clip.split)
        return self._motions[clip.split, clip.name]

    def _read(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        files = [self.root / f"{stem}{SUFFIX}" for stem in _STEMS[split]]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise UserError(f"corpus {self.name}: {' or '.join(map(str, files))} is not there")
        found, faults = read_slrtp(file)
        clips, skipped, seen = [], [SkippedClip(self.name, key, why) for key, why in faults.items()], set()
        for key, entry in found.items():
            fault = fault_of_words(key, entry.text, seen)
            if fault is not None:
                skipped.append(SkippedClip(self.name, key, fault))
                continue
            seen.add(key)
            own = {"gloss": entry.gloss or None, "signer": entry.speaker or None}
            clips.append(Clip(key, self.name, split, self.language, entry.text, file, FPS, **own))
            self._motions[split, key] = entry
        return clips, skipped


def _content(path: Path) -> Any:
    """Of a file; tensors where there are tensors, arrays where there are arrays. Raises UserError that names it."""
    content = load_saved(path)
    entries = content.values() if isinstance(content, Mapping) else ()
    if not any(isinstance(of, Mapping) and isinstance(of.get("poses_3d"), TorchValue) for of in entries):
        return content
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise UserError(f"{path} holds other things beside tensors; write it again, with tensors or numpy arrays alone") from error
    except Exception as error:  # damaged bytes can raise nearly anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {reason}); write it again, with tensors or numpy arrays alone"
        ) from error


def _entry(key: str, entry: Mapping[str, Any]) -> SlrtpClip:
    """Raises ValueError for an entry that cannot be used."""
    poses = entry.get("poses_3d")
    if not isinstance(poses, (torch.Tensor, np.ndarray)):
        raise ValueError("its poses_3d is missing, or neither a tensor nor a numpy array")
    positions = torch.as_tensor(np.ascontiguousarray(poses) if isinstance(poses, np.ndarray) else poses)
    if positions.ndim != 3 or positions.shape[1:] != (len(JOINTS), 3) or not len(positions):
        raise ValueError(f"the shape of its poses_3d is {list(positions.shape)}, it must be [N, {len(JOINTS)}, 3]")
    if positions.is_complex() or positions.dtype == torch.bool:
        raise ValueError("its poses_3d holds no numbers")
    if not positions.isfinite().all():
        raise ValueError("its poses_3d holds NaN or infinity")
    texts = {name: _text(name, entry.get(name)) for name in ("name", "text", "gloss", "speaker", "made_by")}
    return SlrtpClip(**{**texts, "name": texts["name"] or key}, positions=positions.float())


def _text(name: str, value: Any) -> str:
    """Glosses may come one by one, a speaker as a number."""
    if isinstance(value, (np.generic, torch.Tensor)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return " ".join(value)
    if value is not None and not isinstance(value, (str, int)):
        raise ValueError(f"its {name} is of type {type(value).__name__}, it must be text")
    return "" if value is None else str(value)


def texts_of(path: Path) -> dict[str, str]:
    """id -> sentence. Raises UserError as `read_slrtp` does."""
    return {key: clip.text for key, clip in read_slrtp(path)[0].items()}
