"""The convolutional encoder and decoder of a part, as in SOKE's decoupled VQ-VAE: ReLU, dilated blocks, no norm.

Padding never changes a valid frame: wherever a convolution looks at neighbours, the steps beyond a clip's length are
zero, as they are beyond the end of a clip encoded alone. Masks are [B, 1, T] of ones and zeros; None says that every
step is valid.
"""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + mix(relu(spread(relu(x)))): a dilated convolution of kernel 3, then one of kernel 1."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.mix(F.relu(self.spread(F.relu(hidden))))


class ResidualStack(nn.Module):
    """`depth` blocks, the widest dilation first: growth^(depth-1), ..., growth, 1."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation_growth**i) for i in reversed(range(depth)))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            hidden = _masked(block(hidden), mask)
        return hidden


class DownStage(nn.Module):
    """Halves the number of steps."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.down = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.residual = ResidualStack(width, depth, dilation_growth)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        return self.residual(_masked(self.down(hidden), mask), mask)


class UpStage(nn.Module):
    """Doubles the number of steps by repeating each."""

    def __init__(self, width: int, depth: int, dilation_growth: int):
        super().__init__()
        self.residual = ResidualStack(width, depth, dilation_growth)
        self.up = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, hidden: Tensor, mask: Tensor | None, mask_after: Tensor | None) -> Tensor:
        repeated = self.residual(hidden, mask).repeat_interleave(2, dim=2)
        return _masked(self.up(repeated), mask_after)


class ConvEncoder(nn.Module):
    """[B, D, T] -> [B, code_dim, T / 2^stages]; T and the clips' lengths must be multiples of 2^stages."""

    def __init__(self, features: int, code_dim: int, width: int, stages: int, depth: int, dilation_growth: int):
        super().__init__()
        self.stem = nn.Conv1d(features, width, 3, padding=1)
        self.stages = nn.ModuleList(DownStage(width, depth, dilation_growth) for _ in range(stages))
        self.head = nn.Conv1d(width, code_dim, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: [B, 1, T] over frames."""
        hidden = _masked(F.relu(self.stem(_masked(features, mask))), mask)
        for stage in self.stages:
            mask = None if mask is None else mask[..., ::2]
            hidden = stage(hidden, mask)
        return _masked(self.head(hidden), mask)


class ConvDecoder(nn.Module):
    """[B, code_dim, K] -> [B, D, K * 2^stages], the encoder's mirror image."""

    def __init__(self, features: int, code_dim: int, width: int, stages: int, depth: int, dilation_growth: int):
        super().__init__()
        self.stem = nn.Conv1d(code_dim, width, 3, padding=1)
        self.stages = nn.ModuleList(UpStage(width, depth, dilation_growth) for _ in range(stages))
        self.smooth = nn.Conv1d(width, width, 3, padding=1)
        self.head = nn.Conv1d(width, features, 3, padding=1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: [B, 1, K] over steps."""
        hidden = _masked(F.relu(self.stem(_masked(latents, mask))), mask)
        for stage in self.stages:
            mask_after = None if mask is None else mask.repeat_interleave(2, dim=2)
            hidden = stage(hidden, mask, mask_after)
            mask = mask_after
        hidden = _masked(F.relu(self.smooth(hidden)), mask)
        return _masked(self.head(hidden), mask)


def _masked(hidden: Tensor, mask: Tensor | None) -> Tensor:
    return hidden if mask is None else hidden * mask
