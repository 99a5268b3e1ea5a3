"""What a study shows: motions that a test has saved, and those of the signers."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import Clip, ClipError, Corpus
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.report.results import read_clips

PREDICTIONS = "predictions"
_NO_SCORES = ("corpus", "clip", "row", "text", "translation", "frames")


@dataclass(frozen=True)
class Source:
    """A results folder of a test.

    name:    of the system, in the plan
    row:     of clips.csv, with its scores
    split:   of the corpora, which it was tested on
    body:    what its motions pose
    layout:  what it can move, which is what is shown of the signers
    corpora: name -> corpus, of those that the study shows
    """

    name: str
    folder: Path
    row: str
    split: str
    body: Posed
    layout: MotionLayout
    corpora: Mapping[str, Corpus]

    def signed(self, corpus: str) -> set[str]:
        """Names of the clips whose predictions are there. Raises UserError where there is not one."""
        folder = self.folder / PREDICTIONS / corpus
        names = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.npz")}
        if not names:
            raise UserError(
                f"{folder} holds no predictions of {self.name}: test it again with TEST.SAVE_PREDICTIONS=true"
            )
        return names

    def motion(self, clip: Clip) -> Motion | JointMotion:
        return read_motion(self.folder / PREDICTIONS / clip.corpus / f"{clip.name}.npz")

    def clips(self, corpus: str) -> list[Clip]:
        """Of the split."""
        return self.corpora[corpus].clips(self.split)

    def truth(self, clip: Clip) -> Motion | JointMotion:
        """What was signed, as far as the layout covers it. Raises UserError that names the clip."""
        try:
            return self.layout.covered(self.corpora[clip.corpus].load(clip))
        except ClipError as error:
            raise UserError(
                f"the signing of {clip.corpus}/{clip.name} cannot be read from the corpus of {self.folder}: {error}"
            ) from error

    def scores(self, clip: Clip) -> dict[str, float]:
        """Column of clips.csv -> the system's score; none where the test has none of it."""
        return self._scores.get((clip.corpus, clip.name), {})

    @cached_property
    def _scores(self) -> dict[tuple[str, str], dict[str, float]]:
        lines = read_clips(self.folder)
        try:
            own = {(line["corpus"], line["clip"]): _numbers(line) for line in lines if line["row"] == self.row}
        except ValueError as error:
            raise UserError(f"a score in clips.csv of {self.folder} is no number ({error}): test {self.name} again") from error
        if not own:
            rows = ", ".join(dict.fromkeys(line["row"] for line in lines)) or "none"
            raise UserError(f"clips.csv of {self.folder} has no row {self.row}, but {rows}: state another SYSTEMS.{self.name}.ROW")
        return own


def _numbers(line: Mapping[str, str]) -> dict[str, float]:
    values = {name: float(value) for name, value in line.items() if name not in _NO_SCORES and value}
    return {name: value for name, value in values.items() if math.isfinite(value)}
