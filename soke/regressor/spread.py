"""How far the errors of an epoch spread, feature by feature."""
from __future__ import annotations

import torch
from torch import Tensor

from soke.run import processes


class ErrorSpread:
    """Standard deviation of each feature's error over what was added, of all processes together.

    Sums are in double precision and stay on the device until the epoch ends.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # [3, F]: number, sum, sum of squares

    def add(self, errors: Tensor, there: Tensor) -> None:
        """errors: [B, T, F]; there: [B, T] bool, which of them count"""
        errors = errors.double() * there[..., None]
        counts = there.sum().expand(errors.shape[2])
        sums = torch.stack([counts, errors.sum((0, 1)), errors.square().sum((0, 1))])
        self._sums = sums if self._sums is None else self._sums + sums

    def state(self) -> Tensor | None:
        return None if self._sums is None else self._sums.cpu()

    def load(self, state: Tensor) -> None:
        self._sums = state

    def of_all(self, like: Tensor) -> Tensor | None:
        """The deviation [F] of what was added, and begins anew; None where nobody added anything.

        Every process must call it. like: [F] of the type and the device that is wanted
        """
        sums = torch.zeros(3, len(like), dtype=torch.float64, device=like.device) if self._sums is None else self._sums
        self._sums = None
        count, total, squares = processes.sum_over_all(sums)
        if not count.any():
            return None
        return (squares / count - (total / count).square()).clamp_min(0).sqrt().to(like)
