"""Quantizers, chosen by their settings."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from soke.tokenizer.quantizers.base import Quantized, Quantizer
from soke.tokenizer.quantizers.ema import EmaQuantizer
from soke.tokenizer.quantizers.fsq import FsqQuantizer
from soke.tokenizer.quantizers.residual import ResidualQuantizer
from soke.tokenizer.quantizers.vq import VqQuantizer
from soke.tokenizer.settings import Ema, Fsq, Residual, Vq

__all__ = ["Quantized", "Quantizer", "new_quantizer"]

# Type of settings -> what makes a quantizer of them for latents of so many dimensions.
QUANTIZERS: dict[type, Callable[[Any, int], Quantizer]] = {
    Ema: lambda settings, dim: EmaQuantizer(settings.codes, dim, settings.decay),
    Vq: lambda settings, dim: VqQuantizer(settings.codes, dim, settings.decay),
    Fsq: lambda settings, dim: FsqQuantizer(settings.levels, dim, settings.bound),
    Residual: lambda settings, dim: ResidualQuantizer([new_quantizer(settings.of, dim) for _ in range(settings.count)]),
}


def new_quantizer(settings: Ema | Vq | Fsq | Residual, dim: int) -> Quantizer:
    """An untrained quantizer for latents [B, dim, K]."""
    return QUANTIZERS[type(settings)](settings, dim)
