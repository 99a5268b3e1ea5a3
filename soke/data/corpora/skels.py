"""Text files of joint positions, `.skels`: Progressive Transformers, Prompt2Sign, and other skeletons by a table."""
from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.corpora.joint_tables import JointTable
from soke.data.corpora.lines import LinesCorpus

_ZERO = 0.016  # what Prompt2Sign's tools write for 0 and for NaN
_DWPOSE = 385  # numbers of a frame of theirs from 2025 on
_FARTHEST = 2.5  # shoulders that are so many times as far, or as near, as they should be are of another scale [A]
_log = logging.getLogger(__name__)


class SkelsCorpus(LinesCorpus):
    """A line of .skels holds 151 numbers per frame: 50 joints (x y z), then the counter; or those of a `JointTable`.

    Positions of the 50 joints are multiplied by what the files were divided by: 3 (Progressive Transformers), or 9
    (Prompt2Sign), told by the constant 0.016 that its tools write for 0; joints of nothing else become 0 again.
    Subclass it for another name, language or frame rate, or give them.

    joints: None: the 50 joints; others as of `LinesCorpus`
    """

    name = "skels"
    language = "DGS"
    fps = 25.0  # of positions a signer's shoulders are about 1 apart

    def __init__(
        self, root: Path | str, name: str | None = None, language: str | None = None, locale: str | None = None,
        fps: float | None = None, joints: JointTable | None = None,
    ):
        super().__init__(root, name, language, locale, fps)
        self.joints = joints or JointTable()
        if joints is not None:
            self.unit, self.up = joints.unit, joints.up
        self.counted = self.joints.counter
        self._apart: dict[str, float] = {}  # split -> how far the shoulders of its first clip are
        self._kept = [i for i, joint in enumerate(self.joints.joints) if joint is not None]

    @property
    def width(self) -> int:
        return self.joints.width

    @property
    def frame(self) -> str:
        return f"{len(self.joints.joints)} joints{' and a counter' * self.counted}"

    def load(self, clip: Clip) -> JointMotion:
        """Also raises ClipError for positions of another scale than those of its split's first clip, if that is the usual
        one."""
        motion = super().load(clip)
        apart, first = self._apart_in(motion), self._apart.get(clip.split)
        if None not in (apart, first) and _far(apart) and not _far(first) and _far(apart / first):
            raise ClipError(
                f"clip {clip.name}: its shoulders in {clip.frames} are {apart:.2g} apart, those of the split's first clip "
                f"{first:.2g}; divide its positions by what the others were divided by"
            )
        return motion

    def _list(self, split: str) -> tuple[list[Clip], list[SkippedClip]]:
        known = split in self._listed
        clips, skipped = super()._list(split)
        if not known and clips:
            self._look_at_scale(clips[0])
        return clips, skipped

    def _look_at_scale(self, clip: Clip) -> None:
        """Warns where a clip's positions were not divided by what they are multiplied by."""
        try:
            apart = self._apart_in(super().load(clip))
        except ClipError:  # who needs the clip says so
            return
        if apart is None:
            return
        self._apart[clip.split] = apart
        if _far(apart):
            _log.warning(
                "corpus %s: the shoulders of %s are %.2g apart, where those of .skels files are about 1; if its "
                "positions were not divided by 3 or 9, name their joints in a table (JOINTS), with the SCALE that makes "
                "shoulders 1 apart", self.name, clip.name, apart,
            )

    def _apart_in(self, motion: JointMotion) -> float | None:
        """How far the shoulders are apart; None where the file's scale was given, or has none of them."""
        if self.joints.scale is not None or not {"left_shoulder", "right_shoulder"} <= set(motion.joints):
            return None
        left, right = (motion.positions[:, motion.joints.index(f"{side}_shoulder")] for side in ("left", "right"))
        return (left - right).norm(dim=1).median().item()

    def _better_reader(self, count: int) -> str:
        if count % _DWPOSE == 0:
            return f"; it is one of {_DWPOSE}, which READER: soke.data.corpora.dwpose.DwposeCorpus reads"
        if self.joints == JointTable():
            return "; other skeletons are read with a table, JOINTS"
        return "; check JOINTS and COUNTER of the table"

    def _motion(self, clip: Clip, frames: np.ndarray, made_by: str) -> JointMotion:
        positions = frames[:, : 3 * len(self.joints.joints)].reshape(len(frames), -1, 3)
        scale = self.joints.scale
        if scale is None:
            neck = SKELETON_50.index("neck")  # the origin
            if (np.abs(positions[:, neck] - _ZERO) < 1e-6).all():
                blank = (np.abs(positions - _ZERO) < 1e-6).all(axis=2, keepdims=True)  # one coordinate may be by chance
                positions, scale = np.where(blank, np.float32(0), positions), 9
            else:
                scale = 3
        positions = np.ascontiguousarray(positions[:, self._kept]) * np.float32(scale)
        return JointMotion(torch.from_numpy(positions), self.joints.kept, self.fps, made_by)


def _far(apart: float) -> bool:
    """Whether shoulders are of another scale than .skels files have."""
    return not 1 / _FARTHEST <= apart <= _FARTHEST
