"""The quantizer whose codebook is trained by gradient."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from soke.run import processes
from soke.tokenizer.quantizers.base import distance
from soke.tokenizer.quantizers.codebook import MIN_COUNT, CodebookQuantizer


class VqQuantizer(CodebookQuantizer):
    """Nearest vector of a codebook of parameters (VQ-VAE, van den Oord et al. 2017).

    `loss` pulls every vector towards the latents that chose it, `commitment` these towards the vector. The first
    training batch fills the codebook with latents; a code whose moving count falls below 1 restarts at a random latent
    of the next batch.

    decay: of the moving counts, per training batch
    """

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99):
        super().__init__(num_codes, dim, decay)
        self.codebook = nn.Parameter(torch.zeros(num_codes, dim))
        self.register_buffer("counts", torch.ones(num_codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def _loss(self, vectors: Tensor, latents: Tensor) -> Tensor:
        return distance(vectors, latents)

    @torch.no_grad()
    def _prepare(self, picked: Tensor, first: bool) -> None:
        """Dead codes restart, and all of them before the first batch."""
        if self._goes_on():
            return
        dead = torch.ones_like(self.counts, dtype=torch.bool) if first else self.counts < MIN_COUNT
        self.codebook.copy_(torch.where(dead[:, None], picked, self.codebook))
        self.counts.masked_fill_(dead, MIN_COUNT)

    @torch.no_grad()
    def _learn(self, latents: Tensor, codes: Tensor, picked: Tensor) -> None:
        chosen = torch.bincount(codes, minlength=self.num_codes).to(self.counts)
        chosen = processes.sum_over_all(chosen)
        if self._goes_on():
            self._begin_counts(chosen)
        self.counts.lerp_(chosen, 1 - self.decay)
        self.updates += 1
