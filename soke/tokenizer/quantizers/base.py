"""What every quantizer has in common: latents to code numbers and back."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Quantized:
    """What a quantizer makes of latents.

    codes:      [B, K, L] long, numbers of L streams for every step, valid or not
    vectors:    [B, D, K] what the codes stand for, without gradients
    quantized:  [B, D, K] the same up to rounding errors; gradients pass straight through the quantizer to the latents
    commitment: [] mean squared distance of the valid latents to that, by which the latents are pulled there; 0 where
                they need no pull
    loss:       [] what the quantizer learns its codebook by, with gradients; 0 where it has none or learns otherwise
    """

    codes: Tensor
    vectors: Tensor
    quantized: Tensor
    commitment: Tensor
    loss: Tensor


class Quantizer(Protocol):
    """What an autoencoder needs of a quantizer; an `nn.Module` with all of its state in parameters and buffers, which
    computes in float32 whatever autocast says.

    sizes:   number of codes of each of the L streams
    commits: whether latents are pulled towards what their codes stand for
    """

    sizes: tuple[int, ...]
    commits: bool

    def __call__(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        """latents [B, D, K], mask [B, K] bool (None: all valid) -> Quantized; in training mode it also learns."""
        ...

    def encode(self, latents: Tensor) -> Tensor:
        """[B, D, K] -> codes [B, K, L]; never learns."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """[B, K, L] -> [B, D, K]."""
        ...


@contextmanager
def float32(latents: Tensor) -> Iterator[Tensor]:
    """Without autocast, the latents in float32: half precision would merge neighbouring codes."""
    with torch.autocast(latents.device.type, enabled=False):
        yield latents.float()


def distance(vectors: Tensor, to: Tensor) -> Tensor:
    """[N, D], [N, D] -> [] mean squared distance; 0 of none."""
    return F.mse_loss(vectors, to, reduction="sum") / max(vectors.numel(), 1)


def rows(latents: Tensor) -> Tensor:
    """[B, D, K] -> [B * K, D]."""
    return latents.transpose(1, 2).flatten(0, 1)


def valid_rows(mask: Tensor | None) -> slice | Tensor:
    """Indices of those of `rows` that a mask [B, K] lets count."""
    return slice(None) if mask is None else mask.flatten().nonzero().squeeze(1)
