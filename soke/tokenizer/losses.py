"""Losses over the valid frames of a padded batch."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def masked_smooth_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean smooth-L1 distance (SOKE, section 3.1) over the elements of valid frames; 0 when no frame is valid.

    prediction, target: [B, T, D]; mask: [B, T] bool.
    """
    distance = F.smooth_l1_loss(prediction, target, reduction="none").mean(dim=2)
    return (distance * mask).sum() / mask.sum().clamp(min=1)


def masked_velocity(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """`masked_smooth_l1` of the differences between neighbouring frames, where both are valid."""
    return masked_smooth_l1(prediction.diff(dim=1), target.diff(dim=1), mask[:, 1:] & mask[:, :-1])
