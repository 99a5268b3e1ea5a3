"""The convolutional encoder and decoder of a part, as in SOKE's decoupled VQ-VAE: ReLU, dilated blocks, no norm.

Padding never changes a valid frame: wherever a convolution looks at neighbours, the steps beyond a clip's length are
zero, as they are beyond the end of a clip encoded alone. Only the steps that the shortest clip of a batch lacks are
masked for that: a mask is [B, 1, S] of ones and zeros over the last S steps; None says that all clips are equally long.
"""
from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _MaskedReLU(torch.autograd.Function):
    """ReLU, and zero at padding. The gradient is that of ReLU, which passes nothing where the result is zero."""

    @staticmethod
    def forward(hidden: Tensor, mask: Tensor) -> Tensor:
        result = F.relu(hidden)
        result[..., result.shape[2] - mask.shape[2] :].mul_(mask)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad, result, 0), None


class ResidualBlock(nn.Module):
    """x + mix(relu(spread(relu(x)))): a dilated convolution of kernel 3, then one of kernel 1."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The result may be anything at padding."""
        return hidden + self.mix(F.relu(self.spread(_relu(hidden, mask))))


class ResidualStack(nn.Module):
    """`depth` blocks, the widest dilation first: growth^(depth-1), ..., growth, 1."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation_growth**i) for i in reversed(range(depth)))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            hidden = block(hidden, mask)
        return _masked(hidden, mask)


class DownStage(nn.Module):
    """Halves the number of steps."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.down = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.residual = ResidualStack(width, depth, dilation_growth)

    def forward(self, hidden: Tensor, mask_after: Tensor | None) -> Tensor:
        return self.residual(self.down(hidden), mask_after)


class UpStage(nn.Module):
    """Doubles the number of steps by repeating each."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.residual = ResidualStack(width, depth, dilation_growth)
        self.up = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The result may be anything at padding."""
        return self.up(self.residual(hidden, mask).repeat_interleave(2, dim=2))


class ConvEncoder(nn.Module):
    """[B, D, T] -> [B, code_dim, T / 2^stages]; T and the clips' lengths must be multiples of 2^stages."""

    def __init__(self, features: int, code_dim: int, width: int, stages: int, depth: int, dilation_growth: int):
        super().__init__()
        self.stem = nn.Conv1d(features, width, 3, padding=1)
        self.stages = nn.ModuleList(DownStage(width, depth, dilation_growth) for _ in range(stages))
        self.head = nn.Conv1d(width, code_dim, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: [B, 1, S] over frames, S a multiple of 2^stages."""
        hidden = self.hidden(features, mask)
        return _masked(self.head(hidden), None if mask is None else mask[..., :: 2 ** len(self.stages)])

    def hidden(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, D, T] -> [B, width, T / 2^stages], what the last convolution reads; zero at padding."""
        hidden = _relu(self.stem(_masked(features, mask)), mask)
        for stage in self.stages:
            mask = None if mask is None else mask[..., ::2]
            hidden = stage(hidden, mask)
        return hidden


class ConvDecoder(nn.Module):
    """[B, code_dim, K] -> [B, D, K * 2^stages], the encoder's mirror image."""

    def __init__(self, features: int, code_dim: int, width: int, stages: int, depth: int, dilation_growth: int):
        super().__init__()
        self.stem = nn.Conv1d(code_dim, width, 3, padding=1)
        self.stages = nn.ModuleList(UpStage(width, depth, dilation_growth) for _ in range(stages))
        self.smooth = nn.Conv1d(width, width, 3, padding=1)
        self.head = nn.Conv1d(width, features, 3, padding=1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: [B, 1, S] over steps."""
        hidden = _relu(self.stem(_masked(latents, mask)), mask)
        for stage in self.stages:
            hidden = stage(hidden, mask)
            mask = None if mask is None else mask.repeat_interleave(2, dim=2)
        hidden = _relu(self.smooth(_masked(hidden, mask)), mask)
        return _masked(self.head(hidden), mask)


def _relu(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """[B, C, T], zero at padding."""
    return F.relu(hidden) if mask is None else _MaskedReLU.apply(hidden, mask)


def _masked(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """[B, C, T] with zeros at padding."""
    if mask is None:
        return hidden
    return hidden * F.pad(mask.to(hidden.dtype), (hidden.shape[2] - mask.shape[2], 0), value=1.0)
