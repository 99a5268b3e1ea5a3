"""Losses over the valid frames of a padded batch."""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from soke.tokenizer.settings import LossKind, Reduction

# Kind of loss -> the distance of every number.
DISTANCES: dict[LossKind, Callable[..., Tensor]] = {
    "smooth_l1": F.smooth_l1_loss,
    "l2": F.mse_loss,
    "l1": F.l1_loss,
}


def reconstruction(
    prediction: Mapping[str, Tensor], target: Mapping[str, Tensor], masks: Mapping[str, Tensor],
    kind: LossKind = "smooth_l1", reduction: Reduction = "per_part", mean: Callable[[Tensor], Tensor] = lambda n: n,
) -> Tensor:
    """Distance of all parts, over valid frames; 0 when no frame is valid.

    smooth_l1: half the square below 1, the absolute difference less a half above (SOKE, section 3.1)
    l2:        the square
    l1:        the absolute difference

    per_part: the sum over the parts of each one's mean, over its numbers in the valid frames
    all:      one mean over the numbers of all parts (133 in SOKE's layout) in all frames, padding included, where the
              distance counts as 0: as SOKE's released code has it

    When every number is equally far off, per_part is P / v times all, for P parts and the share v of valid frames in
    the padded batch: 8 for three parts and v = 3/8.

    Each part has the B clips that have it.

    prediction, target: part -> [B, T, D]; masks: part -> [B, T] bool
    mean: of numbers [N] that are counted, over the processes that train together; sums are divided by it
    """
    distance = DISTANCES[kind]
    sums = {
        part: (distance(prediction[part], target[part], reduction="none").sum(dim=2) * masks[part]).sum()
        for part in target
    }
    sizes = {part: values.shape[2] for part, values in target.items()}
    if reduction == "all":
        total, numbers = sum(sums.values()), sum(masks[part].numel() * size for part, size in sizes.items())
        (counted,) = mean(torch.full((1,), float(numbers), device=total.device))
        return total / counted.clamp(min=1)
    counts = mean(torch.stack([masks[part].sum() for part in target]))
    return sum(sums[part] / (count.clamp(min=1) * sizes[part]) for part, count in zip(target, counts))


def velocity(
    prediction: Mapping[str, Tensor], target: Mapping[str, Tensor], masks: Mapping[str, Tensor],
    kind: LossKind = "smooth_l1", reduction: Reduction = "per_part", mean: Callable[[Tensor], Tensor] = lambda n: n,
) -> Tensor:
    """`reconstruction` of the differences between neighbouring frames, where both are valid."""
    differences = ({part: values.diff(dim=1) for part, values in batch.items()} for batch in (prediction, target))
    both = {part: mask[:, 1:] & mask[:, :-1] for part, mask in masks.items()}
    return reconstruction(*differences, both, kind, reduction, mean)
