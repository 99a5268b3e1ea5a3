"""How much of a codebook is in use, and how evenly."""
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torchmetrics import Metric

from soke.metrics.signature import Signature


class Counts(Metric):
    """How often each code of a codebook occurs; subclasses say what is made of it.

    size:       number of codes N of the codebook
    part:       name of the tokenizer's part, for the signature
    layout:     hash of the motion layout
    statistics: hash of the normalisation statistics
    """

    name: ClassVar[str]  # in signatures
    units: ClassVar[tuple[str, ...]]
    full_state_update, higher_is_better = False, True
    counts: torch.Tensor  # [N]

    def __init__(
        self, size: int, part: str | None = None, layout: str | None = None, statistics: str | None = None
    ) -> None:
        super().__init__()
        self.size, self.part, self.conditions = size, part, {"layout": layout, "statistics": statistics}
        self.signature = Signature(self.name, part, units=self.units, **self.conditions)
        self.add_state("counts", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    @classmethod
    def of(cls, other: Counts) -> Counts:
        """Of the same codes as `other`, as far as they are counted."""
        made = cls(other.size, other.part, **other.conditions)
        made.counts += other.counts
        return made

    def update(self, codes: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Counts codes.

        codes: integer codes of any shape
        mask:  bool of the same shape, False where `codes` is padding; None when nothing is

        Raises ValueError when a valid code is outside 0 to size - 1 (a GPU, which would be waited for, fails by itself), or
        the shapes differ.
        """
        if mask is not None:
            if mask.shape != codes.shape:
                raise ValueError(f"the mask has shape {list(mask.shape)} and the codes {list(codes.shape)}")
            codes = torch.where(mask, codes, 0)
        if not codes.is_cuda and codes.numel() and (codes.min() < 0 or codes.max() >= self.size):
            raise ValueError(
                f"codes from {int(codes.min())} to {int(codes.max())} do not fit a codebook of {self.size} codes"
            )
        counted = torch.ones_like(codes, dtype=torch.int64) if mask is None else mask.long()
        self.counts.index_add_(0, codes.flatten(), counted.flatten())

    @property
    def update_called(self) -> bool:
        """Whether any code is counted, here or by another one: torchmetrics warns who asks before."""
        return bool(self.counts.any())

    def state(self) -> torch.Tensor | None:
        """What has been counted, of this process; None for nothing."""
        return self.counts.cpu() if self.counts.any() else None

    def load(self, state: torch.Tensor) -> None:
        self.counts += state

    def _total(self) -> torch.Tensor:
        """[] all codes. Raises ValueError when there are none."""
        total = self.counts.sum()
        if total == 0:
            raise ValueError(f"{self.name} was asked for before any code was counted")
        return total


class CodebookUse(Counts):
    """Share of the codes that occur at all, and the perplexity of their distribution.

    `compute` gives {"percent": codes that occur at least once, "codes": perplexity exp(H), 1 to N}, scalar tensors.
    """

    name, units = "codebook-use", ("percent", "codes")

    def compute(self) -> dict[str, torch.Tensor]:
        """Raises ValueError when no code was counted."""
        entropy = torch.special.entr(self.counts.double() / self._total()).sum()
        return {self.units[0]: 100.0 * (self.counts > 0).double().mean(), self.units[1]: entropy.exp()}


class LevelUse(CodebookUse):
    """`CodebookUse` of one dimension of a code that is a combination of levels: how many of them occur, and their
    perplexity; a level that never occurs is dead, whatever the other dimensions do."""

    name, units = "level-use", ("percent", "levels")

    @classmethod
    def of_dimensions(cls, use: Counts, levels: Sequence[int]) -> list[LevelUse]:
        """One for each dimension of `use`'s codes, of which the first changes fastest, with so many levels; none of
        codes that are no combinations, ()."""
        grid, found = use.counts.reshape([*reversed(levels)]) if levels else None, []
        for number, level in enumerate(levels):
            others = [axis for axis in range(len(levels)) if axis != len(levels) - 1 - number]
            found.append(cls(level, f"{use.part} dimension {number + 1}", **use.conditions))
            found[-1].counts += grid.sum(others) if others else grid
        return found


class CodeCounts(Counts):
    """How unevenly the codes of a codebook are used: the standard deviation of how often each of its N codes occurs,
    those that never do among them (M3T, table A.2), and the same in relation to the mean, which does not grow with the
    number of clips."""

    name, units = "token-counts", ("SD", "SD/mean")
    higher_is_better = False

    def compute(self) -> dict[str, torch.Tensor]:
        """Raises ValueError when no code was counted."""
        mean, deviation = self._total() / self.size, self.counts.double().std(correction=0)
        return {"SD": deviation, "SD/mean": deviation / mean}
