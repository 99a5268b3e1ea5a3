"""A synthetic corpus of what M3T's layout needs: 100 expression coefficients, eyelids, eyes that move."""
from __future__ import annotations

from dataclasses import replace

import torch

from soke.body.joints import JOINT_GROUPS, joint_indices
from soke.body.motion import Motion

_EYES = joint_indices(JOINT_GROUPS["eyes"])


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
