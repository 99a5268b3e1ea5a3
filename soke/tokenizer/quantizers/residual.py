"""Residual quantization: every level quantizes what those before it have left."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soke.tokenizer.quantizers.base import Quantized, Quantizer, distance, float32, rows, valid_rows


class ResidualQuantizer(nn.Module):
    """The sum of what its levels make of the latents, each of what the sum of those before it lacks (SoundStream,
    Zeghidour et al. 2021). Every level has streams of its own, and learns as it does alone.

    The latents are pulled to the sum after every level, so far as the levels pull: `commitment` and `loss` are sums
    over the levels. The gradient of `quantized` is that of one quantizer.
    """

    def __init__(self, levels: Sequence[Quantizer]):
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.commits = any(level.commits for level in levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size for level in self.levels for size in level.sizes)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        with float32(latents) as latents:
            valid, total, found = valid_rows(mask), torch.zeros_like(latents), []
            commitment = latents.new_zeros(())
            for level in self.levels:
                found.append(level(latents - total, mask))
                passed, vectors = found[-1].quantized, found[-1].vectors
                total = total + (passed + (vectors - passed).detach())  # as `decode` to the bit
                if level.commits:  # the gradient of the level's own ends where it passes straight through the others
                    commitment = commitment + distance(rows(latents)[valid], rows(total.detach())[valid])
            codes = torch.cat([level.codes for level in found], dim=2)
            return Quantized(codes, total.detach(), total, commitment, sum(level.loss for level in found))

    def encode(self, latents: Tensor) -> Tensor:
        with float32(latents) as latents:
            total, codes = torch.zeros_like(latents), []
            for level in self.levels:
                codes.append(level.encode(latents - total))
                total = total + level.decode(codes[-1])
            return torch.cat(codes, dim=2)

    def decode(self, codes: Tensor) -> Tensor:
        counts = [len(level.sizes) for level in self.levels]
        return sum(level.decode(own) for level, own in zip(self.levels, codes.split(counts, dim=2)))
