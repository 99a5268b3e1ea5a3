"""The quantizer whose codebook follows the encoder by moving averages."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from soke.run import processes
from soke.tokenizer.quantizers.codebook import MIN_COUNT, CodebookQuantizer


class EmaQuantizer(CodebookQuantizer):
    """Nearest vector of a codebook that follows the encoder by exponential moving averages, with reset of dead codes.

    As in SOKE (section 3.1) and T2M-GPT: the first training batch fills the codebook with latents; then every code is
    the moving mean of the latents assigned to it, and a code whose moving count falls below 1 restarts at a random
    latent of the batch.
    """

    sums: Tensor  # [num_codes, dim] moving sum of the latents assigned to each code

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99):
        super().__init__(num_codes, dim, decay)
        self.register_buffer("codebook", torch.zeros(num_codes, dim))
        self.register_buffer("sums", torch.zeros(num_codes, dim))
        self.register_buffer("counts", torch.ones(num_codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def _prepare(self, picked: Tensor, first: bool) -> None:
        if first:
            self.codebook.copy_(picked)
            self.sums.copy_(self.codebook)
            self.counts.fill_(1.0)

    def _loss(self, vectors: Tensor, latents: Tensor) -> Tensor:
        return latents.new_zeros(())

    @torch.no_grad()
    def _learn(self, latents: Tensor, codes: Tensor, picked: Tensor) -> None:
        chosen = F.one_hot(codes, self.num_codes).to(latents)  # [N, num_codes]
        totals = processes.sum_over_all(torch.cat([chosen.T @ latents, chosen.sum(0)[:, None]], dim=1))
        if self._goes_on():
            self._begin_counts(totals[:, -1])
            self.sums.copy_(self.codebook * self.counts[:, None])
        self.sums.lerp_(totals[:, :-1], 1 - self.decay)
        self.counts.lerp_(totals[:, -1], 1 - self.decay)
        dead = self.counts < MIN_COUNT
        self.sums.copy_(torch.where(dead[:, None], picked, self.sums))
        self.counts.masked_fill_(dead, MIN_COUNT)
        self.codebook.copy_(self.sums / self.counts[:, None])
        self.updates += 1
