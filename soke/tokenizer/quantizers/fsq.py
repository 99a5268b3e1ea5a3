"""Finite scalar quantization: no codebook, every dimension is rounded to one of a few levels."""
from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soke.tokenizer.quantizers.base import Quantized, float32

log = logging.getLogger(__name__)

FEWEST = 3  # levels of a dimension that is not saturated from the start


class FsqQuantizer(nn.Module):
    """Finite scalar quantization (Mentzer et al. 2023): latents are projected to one dimension per entry of `levels`,
    bounded, and rounded to so many levels each.

    The number of a code is sum(digit[i] * levels[0] * ... * levels[i-1]): the first dimension changes fastest. With the
    standard bound a digit d of L levels stands for (d - L//2) / (L//2), for even L from -1 to 1 - 2/L; with the
    symmetric one (arXiv 2411.19842) for 2 d / (L - 1) - 1, always from -1 to 1. The gradient passes straight through
    the rounding, but through the bound as it is. There is neither codebook nor commitment.

    levels: of each dimension, 2 to 1000; a dimension of 2 is saturated by the standard bound, so that it hardly learns
    dim:    of the latents; there is no projection when it is the number of levels
    bound:  standard or symmetric
    """

    commits = False

    def __init__(self, levels: Sequence[int], dim: int, bound: str = "standard"):
        super().__init__()
        few = [number for number in levels if number < FEWEST]
        if few:
            log.warning(
                "FSQ with levels %s: a dimension of %d levels hardly learns; at least %d are needed, 5 are better",
                list(levels), few[0], FEWEST,
            )
        self.symmetric = bound == "symmetric"
        self.sizes = (math.prod(levels),)
        number = torch.tensor(list(levels))  # [d]
        self.register_buffer("levels", number, persistent=False)
        self.register_buffer("basis", torch.cat([number.new_ones(1), number[:-1]]).cumprod(0), persistent=False)
        same = dim == len(levels)
        self.project_in = nn.Identity() if same else nn.Linear(dim, len(levels))
        self.project_out = nn.Identity() if same else nn.Linear(len(levels), dim)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        with float32(latents) as latents:
            places = self._places(latents)
            digits = self._digits(places)
            quantized = self._vectors(digits + (places - places.detach()))
            nothing = latents.new_zeros(())
            return Quantized(self._numbers(digits), quantized.detach(), quantized, nothing, nothing)

    def encode(self, latents: Tensor) -> Tensor:
        with float32(latents) as latents:
            return self._numbers(self._digits(self._places(latents)))

    def decode(self, codes: Tensor) -> Tensor:
        digits = codes // self.basis % self.levels  # [B, K, d]
        with float32(digits) as digits:
            return self._vectors(digits)

    def _places(self, latents: Tensor) -> Tensor:
        """[B, D, K] -> [B, K, d] real places on the scale of the digits, bounded."""
        values = self.project_in(latents.transpose(1, 2))
        if self.symmetric:
            return (self.levels - 1) * (values.tanh() + 1) / 2
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = 0.5 * (self.levels % 2 == 0)
        return (values + (offset / half).atanh()).tanh() * half - offset + self.levels // 2

    @torch.no_grad()
    def _digits(self, places: Tensor) -> Tensor:
        """[..., d] whole numbers from 0 to level - 1, as floats; latents that are not a number count as 0."""
        if self.symmetric:
            digits = (places + 0.5).floor()
        else:
            digits = (places - self.levels // 2).round() + self.levels // 2
        return digits.nan_to_num(0.0).clamp(min=0).minimum((self.levels - 1).to(digits))

    def _numbers(self, digits: Tensor) -> Tensor:
        """[B, K, d] -> codes [B, K, 1]."""
        return (digits.long() * self.basis).sum(-1, keepdim=True)

    def _vectors(self, digits: Tensor) -> Tensor:
        """[B, K, d] -> [B, D, K]."""
        if self.symmetric:
            values = 2 * digits / (self.levels - 1) - 1
        else:
            values = (digits - self.levels // 2) / (self.levels // 2)
        return self.project_out(values).transpose(1, 2)
