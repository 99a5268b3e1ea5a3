"""SOKE's frame pickles, a folder per clip: ten expression coefficients, neither eyelids nor eyes."""
from __future__ import annotations

from pathlib import Path

from soke.body.joints import BODY, LEFT_HAND, RIGHT_HAND, joint_indices
from soke.body.motion import Motion
from soke.data.clip import Clip
from soke.data.foreign.assembling import Rules, assembled, named
from soke.data.storage.formats import SOKE_FRAMES, check_complete
from soke.errors import UserError

_JOINTS = (BODY, LEFT_HAND, RIGHT_HAND, ("jaw",))


class SokeFolders:
    """The clips below a folder; a clip's name is its folder's path from there."""

    def __init__(self, path: Path, rules: Rules):
        if not path.is_dir():
            raise UserError(f"{path} is no folder: --from names the folder that holds the clips' folders")
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        self.names = sorted({file.parent.relative_to(path).as_posix() for file in path.rglob("*.pkl")} - {"."})
        if not self.names:
            raise UserError(f"{path} holds no clips: no folder in it has frame files, which end in .pkl")

    def read(self, name: str) -> Motion:
        clip = Clip(name, "", "train", "", name, self.path / name, self.rules.fps)
        found = SOKE_FRAMES.find(clip)
        check_complete(clip, found)
        self.gaps[name] = found.missing
        frames = SOKE_FRAMES.motion(SOKE_FRAMES.read(clip, found), self.rules.fps)
        joints = {names: frames.rotations[:, joint_indices(names)] for names in _JOINTS}
        where = named(name, clip.frames)
        return assembled(where, joints, frames.expression, None, self.rules, frames.betas.numpy(), None, frames.made_by)
