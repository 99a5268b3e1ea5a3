"""How a performance is recorded: as SOKE's frames, and with a face as SMPL-FX, too."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from soke.body.motion import Motion
from soke.data.synthetic.corpora import Source, seed_number
from soke.data.synthetic.faces import draw_habits, fitted_face, model_face, with_face
from soke.data.synthetic.facial_actions import load_facial_actions


@dataclass(frozen=True)
class Recorded:
    """soke: what SOKE's frames hold; smplfx: the same with all of the face, where there is one; blinks: s."""

    soke: Motion
    smplfx: Motion | None = None
    blinks: tuple[float, ...] = ()


class Recorder:
    """Records hands, arms, and the simple face that signs without mouthings have."""

    def record(self, source: Source, take: Any) -> Recorded:
        return Recorded(source.performance(take).motion())


class FaceRecorder(Recorder):
    """Records whole faces. Every source's signers get theirs from a random stream of its own, as does every clip."""

    def __init__(self, sources: Sequence[Source], seed: int):
        self.actions = load_facial_actions()
        self._model = model_face(self.actions)
        self._habits = {
            source.folder: draw_habits(
                len(source.signers), self.actions,
                torch.Generator().manual_seed(seed_number(seed, source.folder, "faces")),
            )
            for source in sources
        }

    def record(self, source: Source, take: Any) -> Recorded:
        habits = self._model if take.signer is None else self._habits[source.folder][take.signer]
        rng = torch.Generator().manual_seed(seed_number(take.seed, "face"))
        motion, blinks = with_face(source.performance(take), source.face(take), habits, self.actions, rng)
        return Recorded(fitted_face(motion, self.actions), motion, blinks)
