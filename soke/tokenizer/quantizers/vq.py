"""The quantizer whose codebook is trained by gradient."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from soke.run import processes
from soke.tokenizer.quantizers.base import Quantized, distance, float32, rows, valid_rows
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

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        steps = latents.shape[0], latents.shape[2]
        with float32(latents) as latents:
            flat, valid = rows(latents), valid_rows(mask)
            latents = flat[valid]  # [N, D]
            finite, picked = self._look(latents) if self.training else (None, None)
            if picked is not None:
                self._restart(picked)
            codes = self._nearest(flat)
            vectors = self.codebook[codes]
            commitment, loss = distance(latents, vectors[valid].detach()), distance(vectors[valid], latents.detach())
            if picked is not None:
                self._count(codes[valid][finite])
            passed = flat + (vectors - flat).detach()
            vectors, passed = (v.view(*steps, self.dim).transpose(1, 2) for v in (vectors.detach(), passed))
            return Quantized(codes.view(*steps, 1), vectors, passed, commitment, loss)

    @torch.no_grad()
    def _restart(self, picked: Tensor) -> None:
        """picked [num_codes, D], where dead codes restart, and all of them before the first batch."""
        dead = self.counts < MIN_COUNT if self.updates else torch.ones_like(self.counts, dtype=torch.bool)
        self.codebook.copy_(torch.where(dead[:, None], picked, self.codebook))
        self.counts.masked_fill_(dead, MIN_COUNT)

    @torch.no_grad()
    def _count(self, codes: Tensor) -> None:
        chosen = torch.bincount(codes, minlength=self.num_codes).to(self.counts)
        self.counts.lerp_(processes.sum_over_all(chosen), 1 - self.decay)
        self.updates += 1
