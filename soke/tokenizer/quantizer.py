"""Quantizers: latents to code numbers and back."""
from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soke.run import processes

log = logging.getLogger(__name__)

MIN_COUNT = 1.0  # a code chosen fewer times than this per batch (running mean) is dead


@dataclass
class Quantized:
    """What a quantizer makes of latents.

    codes:      [B, K] long, a number for every step, valid or not
    quantized:  [B, D, K] the codes' vectors; gradients pass straight through to the latents
    commitment: [] mean squared distance of the valid latents to their vectors, to be added to the loss
    """

    codes: Tensor
    quantized: Tensor
    commitment: Tensor


class Quantizer(Protocol):
    """What an autoencoder needs of a quantizer; an `nn.Module` with all of its state in parameters and buffers."""

    num_codes: int

    def __call__(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        """latents [B, D, K], mask [B, K] bool (None: all valid) -> Quantized; in training mode it also learns."""
        ...

    def encode(self, latents: Tensor) -> Tensor:
        """[B, D, K] -> codes [B, K]; never learns."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """[B, K] -> [B, D, K]."""
        ...


class EmaQuantizer(nn.Module):
    """Nearest vector of a codebook that follows the encoder by exponential moving averages, with reset of dead codes.

    As in SOKE (section 3.1) and T2M-GPT: the first training batch fills the codebook with latents; then every code is
    the moving mean of the latents assigned to it, and a code whose moving count falls below 1 restarts at a random
    latent of the batch. Only valid steps count, and of them only finite latents; the first that are not are logged. A
    batch with none changes nothing. Random choices are seeded by the number of updates, so that a resumed run makes the
    same ones. With torch.distributed, the latents of all processes are one batch.
    """

    codebook: Tensor  # [num_codes, dim]
    sums: Tensor  # [num_codes, dim] moving sum of the latents assigned to each code
    counts: Tensor  # [num_codes] moving number of them
    updates: Tensor  # [] training batches learnt from

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99):
        super().__init__()
        self.num_codes, self.dim, self.decay = num_codes, dim, decay
        self.register_buffer("codebook", torch.zeros(num_codes, dim))
        self.register_buffer("sums", torch.zeros(num_codes, dim))
        self.register_buffer("counts", torch.ones(num_codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._warned = False

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        with torch.autocast(latents.device.type, enabled=False):  # half precision would merge neighbouring codes
            steps = latents.shape[0], latents.shape[2]
            flat = latents.float().transpose(1, 2).flatten(0, 1)  # [B*K, D]
            valid = slice(None) if mask is None else mask.flatten().nonzero().squeeze(1)
            latents = flat[valid]  # [N, D]
            finite, picked = self._look(latents) if self.training else (None, None)
            if picked is not None and not self.updates:
                self._initialise(picked)
            codes = self._nearest(flat)
            quantized = self.codebook[codes]
            commitment = F.mse_loss(latents, quantized[valid], reduction="sum") / max(latents.numel(), 1)
            if picked is not None:
                self._update(latents.detach()[finite], codes[valid][finite], picked)
            passed = flat + (quantized - flat).detach()
            return Quantized(codes.view(steps), passed.view(*steps, self.dim).transpose(1, 2), commitment)

    def encode(self, latents: Tensor) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            return self._nearest(latents.float().transpose(1, 2))

    def decode(self, codes: Tensor) -> Tensor:
        return self.codebook[codes].transpose(1, 2)

    @torch.no_grad()
    def _nearest(self, vectors: Tensor) -> Tensor:
        """[..., D] -> [...]; |c|^2 - 2 x.c orders the codes as |x - c|^2 does."""
        return (self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T).argmin(-1)

    @torch.no_grad()
    def _look(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """[N, D] -> indices [F] of the finite ones, and `_pick` of them, None when no process has any."""
        finite = latents.isfinite().all(1).nonzero().squeeze(1)
        sizes = processes.rows_of_all(torch.tensor([len(finite), len(latents)], device=latents.device))
        found, all_ = sizes.T.tolist()
        if found != all_ and not self._warned:
            self._warned = True
            if processes.rank() == 0:
                log.warning(
                    "%d of %d latents of a training batch are infinite or not a number: the codebooks are not trained "
                    "on such latents", sum(all_) - sum(found), sum(all_),
                )
        return finite, self._pick(latents[finite], found) if any(found) else None

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

    def _pick(self, latents: Tensor, sizes: list[int]) -> Tensor:
        """[N, D] -> [num_codes, D] random ones of those of all processes, of which there are sizes[rank]; when they are
        fewer than num_codes, repeated with a little noise."""
        generator = torch.Generator().manual_seed(int(self.updates))
        order = torch.randperm(sum(sizes), generator=generator)
        order = order[torch.arange(self.num_codes) % len(order)] - sum(sizes[: processes.rank()])
        own = ((order >= 0) & (order < len(latents))).nonzero().squeeze(1)
        picked = latents.new_zeros(self.num_codes, self.dim)
        picked[own.to(latents.device)] = latents[order[own].to(latents.device)]
        processes.sum_over_all(picked)
        if sum(sizes) < self.num_codes:
            noise = torch.randn(self.num_codes, self.dim, generator=generator)
            picked = picked + noise.to(picked) * (0.01 / math.sqrt(self.dim))
        return picked
