"""Quantizers: latents to code numbers and back."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

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
    latent of the batch. Only valid steps count. Random choices are seeded by the number of updates, so that a resumed
    run makes the same ones. With torch.distributed, statistics are summed over all processes and random latents come
    from rank 0.
    """

    codebook: Tensor  # [num_codes, dim]
    sums: Tensor  # [num_codes, dim] moving sum of the latents assigned to each code
    counts: Tensor  # [num_codes] moving number of them
    updates: Tensor  # [] training batches seen

    def __init__(self, num_codes: int, dim: int, decay: float = 0.99):
        super().__init__()
        self.num_codes, self.dim, self.decay = num_codes, dim, decay
        self.register_buffer("codebook", torch.zeros(num_codes, dim))
        self.register_buffer("sums", torch.zeros(num_codes, dim))
        self.register_buffer("counts", torch.ones(num_codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        with torch.autocast(latents.device.type, enabled=False):  # half precision would merge neighbouring codes
            steps = latents.shape[0], latents.shape[2]
            flat = latents.float().transpose(1, 2).flatten(0, 1)  # [B*K, D]
            valid = slice(None) if mask is None else mask.flatten().nonzero().squeeze(1)
            latents = flat[valid]  # [N, D]
            if self.training and not self.updates:
                self._initialise(latents.detach())
            codes = self._nearest(flat)
            quantized = self.codebook[codes]
            commitment = F.mse_loss(latents, quantized[valid], reduction="sum") / max(latents.numel(), 1)
            if self.training:
                self._update(latents.detach(), codes[valid])
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
    def _initialise(self, latents: Tensor) -> None:
        self.codebook.copy_(self._pick(latents))
        self.sums.copy_(self.codebook)
        self.counts.fill_(1.0)

    @torch.no_grad()
    def _update(self, latents: Tensor, codes: Tensor) -> None:
        """latents [N, D], codes [N]."""
        chosen = F.one_hot(codes, self.num_codes).to(latents)  # [N, num_codes]
        sums, counts = chosen.T @ latents, chosen.sum(0)
        if _processes() > 1:
            distributed.all_reduce(sums)
            distributed.all_reduce(counts)
        self.sums.lerp_(sums, 1 - self.decay)
        self.counts.lerp_(counts, 1 - self.decay)
        dead = self.counts < MIN_COUNT
        self.sums.copy_(torch.where(dead[:, None], self._pick(latents), self.sums))
        self.counts.masked_fill_(dead, MIN_COUNT)
        self.codebook.copy_(self.sums / self.counts[:, None])
        self.updates += 1

    def _pick(self, latents: Tensor) -> Tensor:
        """[N, D] -> [num_codes, D] random ones of them; when N < num_codes, repeated with a little noise."""
        if not len(latents):  # nothing valid on this process: what is there stays, and the others are not kept waiting
            latents = self.codebook
        generator = torch.Generator().manual_seed(int(self.updates))
        order = torch.randperm(len(latents), generator=generator).to(latents.device)
        picked = latents[order[torch.arange(self.num_codes, device=latents.device) % len(latents)]]
        if len(latents) < self.num_codes:
            noise = torch.randn(self.num_codes, self.dim, generator=generator)
            picked = picked + noise.to(picked) * (0.01 / math.sqrt(self.dim))
        if _processes() > 1:
            distributed.broadcast(picked, src=0)
        return picked


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
