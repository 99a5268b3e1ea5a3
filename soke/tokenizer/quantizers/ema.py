"""The quantizer whose codebook follows the encoder by moving averages."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from soke.run import processes
from soke.tokenizer.quantizers.base import Quantized, distance, float32, rows, valid_rows
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

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        steps = latents.shape[0], latents.shape[2]
        with float32(latents) as latents:
            flat, valid = rows(latents), valid_rows(mask)
            latents = flat[valid]  # [N, D]
            finite, picked = self._look(latents) if self.training else (None, None)
            if picked is not None and not self.updates:
                self._initialise(picked)
            codes = self._nearest(flat)
            quantized = self.codebook[codes]
            commitment = distance(latents, quantized[valid])
            if picked is not None:
                self._update(latents.detach()[finite], codes[valid][finite], picked)
            passed = flat + (quantized - flat).detach()
            vectors, passed = (v.view(*steps, self.dim).transpose(1, 2) for v in (quantized, passed))
            return Quantized(codes.view(*steps, 1), vectors, passed, commitment, torch.zeros_like(commitment))

    @torch.no_grad()
    def _initialise(self, picked: Tensor) -> None:
        self.codebook.copy_(picked)
        self.sums.copy_(self.codebook)
        self.counts.fill_(1.0)

    @torch.no_grad()
    def _update(self, latents: Tensor, codes: Tensor, picked: Tensor) -> None:
        """latents [N, D], codes [N]; picked [num_codes, D], where dead codes restart."""
        chosen = F.one_hot(codes, self.num_codes).to(latents)  # [N, num_codes]
        totals = processes.sum_over_all(torch.cat([chosen.T @ latents, chosen.sum(0)[:, None]], dim=1))
        self.sums.lerp_(totals[:, :-1], 1 - self.decay)
        self.counts.lerp_(totals[:, -1], 1 - self.decay)
        dead = self.counts < MIN_COUNT
        self.sums.copy_(torch.where(dead[:, None], picked, self.sums))
        self.counts.masked_fill_(dead, MIN_COUNT)
        self.codebook.copy_(self.sums / self.counts[:, None])
        self.updates += 1
