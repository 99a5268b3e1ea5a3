"""How much of a codebook is in use."""
from __future__ import annotations

import torch
from torchmetrics import Metric

from soke.metrics.signature import Signature


class CodebookUse(Metric):
    """Share of the codes that occur at all, and the perplexity of their distribution.

    size:       number of codes N of the codebook
    part:       name of the tokenizer's part, for the signature
    layout:     hash of the motion layout
    statistics: hash of the normalisation statistics

    `compute` gives {"percent": codes that occur at least once, "codes": perplexity exp(H), 1 to N}, scalar tensors.
    """

    full_state_update = False
    counts: torch.Tensor  # [N]

    def __init__(
        self, size: int, part: str | None = None, layout: str | None = None, statistics: str | None = None
    ) -> None:
        super().__init__()
        self.size = size
        self.signature = Signature(
            "codebook-use", part, units=("percent", "codes"), layout=layout, statistics=statistics
        )
        self.add_state("counts", torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, codes: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        """Counts codes.

        codes: integer codes of any shape
        mask:  bool of the same shape, False where `codes` is padding; None when nothing is

        Raises ValueError when a valid code is outside 0 to size - 1, or the shapes differ.
        """
        if mask is not None:
            if mask.shape != codes.shape:
                raise ValueError(f"the mask has shape {list(mask.shape)} and the codes {list(codes.shape)}")
            codes = codes[mask]
        if codes.numel() and (codes.min() < 0 or codes.max() >= self.size):
            raise ValueError(
                f"codes from {int(codes.min())} to {int(codes.max())} do not fit a codebook of {self.size} codes"
            )
        self.counts += torch.bincount(codes.flatten(), minlength=self.size)

    def compute(self) -> dict[str, torch.Tensor]:
        """Raises ValueError when no code was counted."""
        total = self.counts.sum()
        if total == 0:
            raise ValueError("codebook use was asked for before any code was counted")
        probability = self.counts.double() / total
        entropy = torch.special.entr(probability).sum()
        return {"percent": 100.0 * (self.counts > 0).double().mean(), "codes": entropy.exp()}
