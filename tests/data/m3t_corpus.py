"""A synthetic corpus of what M3T's layout needs: 100 expression coefficients, eyelids, eyes that move."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from soke.body.joints import JOINT_GROUPS, joint_indices
from soke.body.motion import Motion
from soke.data.clip import SPLITS, Clip, ClipError, SkippedClip
from soke.data.saved import read_motion, write_motion
from soke.data.synthetic.corpora import plan_corpora
from soke.errors import UserError

_EYES = joint_indices(JOINT_GROUPS["eyes"])


class M3TCorpus:
    """Clips of American Sign Language that `write_m3t_corpus` wrote."""

    name, language, fps = "m3t", "ASL", 24.0

    def __init__(self, root: Path):
        self.root = Path(root)

    def clips(self, split: str) -> list[Clip]:
        texts = json.loads((self.root / f"{split}.json").read_text(encoding="utf-8"))
        return [
            Clip(name, self.name, split, self.language, text, self.root / f"{name}.npz", self.fps)
            for name, text in texts.items()
        ]

    def skipped(self, split: str) -> list[SkippedClip]:
        return []

    def load(self, clip: Clip) -> Motion:
        try:
            return read_motion(clip.frames)
        except UserError as error:
            raise ClipError(f"clip {clip.name}: {error}") from error


def expressive(motion: Motion, seed: int) -> Motion:
    """With 90 coefficients more, which sway slowly, eyes that look about, and eyelids that blink."""
    rng, seconds = torch.Generator().manual_seed(seed), torch.arange(len(motion)) / motion.fps

    def sway(numbers: int, size: float) -> torch.Tensor:
        rate, phase = 0.5 + torch.rand(2, numbers, generator=rng)
        return size * torch.sin(2 * torch.pi * (seconds[:, None] * rate + phase))

    rotations = motion.rotations.clone()
    rotations[:, _EYES] = sway(6, 0.1).view(-1, 2, 3)
    lids = (torch.sin(2 * seconds) > 0.95).float()[:, None].expand(-1, 2)
    return replace(
        motion, rotations=rotations, expression=torch.cat([motion.expression, sway(90, 0.5)], 1), eyelids=lids.clone(),
        lacking=frozenset(),
    )


def write_m3t_corpus(root: Path) -> None:
    """12, 4 and 4 sentences."""
    root.mkdir(parents=True)
    (corpus,) = (corpus for corpus in plan_corpora("tiny", 1234) if corpus.spoken.language == M3TCorpus.language)
    for split in SPLITS:
        takes = [replace(take, fps=M3TCorpus.fps) for take in corpus.takes if take.split == split]
        for take in takes:
            write_motion(root / f"{take.name}.npz", expressive(corpus.perform(take), take.seed))
        texts = {take.name: take.sentence.text for take in takes}
        (root / f"{split}.json").write_text(json.dumps(texts), encoding="utf-8")
