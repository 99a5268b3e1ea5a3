"""PartAutoencoder: encoder, quantizer and decoder of one part, and which clips and steps of a padded batch count."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soke.data.dataset import PADDING_CODE
from soke.data.statistics import STD_FLOOR
from soke.tokenizer.autoencoder import ConvDecoder, ConvEncoder
from soke.tokenizer.quantizers import Quantized, Quantizer, new_quantizer
from soke.tokenizer.settings import AutoencoderSettings


@dataclass(frozen=True)
class ValidSteps:
    """Which steps of a padded batch belong to its clips.

    valid:     [B, K] bool
    beginning: number of steps that every clip has
    """

    valid: Tensor
    beginning: int

    @classmethod
    def of(
        cls, lengths: Tensor, numbers: Sequence[int], batch: int, total: int, device: torch.device
    ) -> ValidSteps:
        """lengths [B] and the same `numbers`, in steps. Raises ValueError when they do not fit [batch, total]."""
        if lengths.shape != (batch,) or len(numbers) != batch or max(numbers, default=0) > total:
            raise ValueError(f"lengths must be [{batch}] and at most the padded length, got {list(numbers)}")
        valid = torch.arange(total, device=device) < lengths.to(device)[:, None]
        return cls(valid, min(numbers, default=total))

    @property
    def mask(self) -> Tensor | None:
        """`valid`, or None when every step is."""
        return None if self.beginning == self.valid.shape[1] else self.valid

    def tail(self, per_step: int = 1) -> Tensor | None:
        """The mask of an encoder or decoder with so many frames per step: [B, 1, S] beyond what every clip has."""
        if self.mask is None:
            return None
        return self.valid[:, None, self.beginning :].repeat_interleave(per_step, dim=2).float()

    def repeated(self, times: int) -> ValidSteps:
        """The same batch `times` over."""
        return ValidSteps(self.valid.repeat(times, 1), self.beginning)

    def picked(self, rows: Tensor) -> ValidSteps:
        """Of these clips of the batch, by their numbers [B'] from 0."""
        return ValidSteps(self.valid[rows], self.beginning)


class PartAutoencoder(nn.Module):
    """Statistics, encoder, quantizer and decoder of one part; features are normalised inside.

    mean, std: [D]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, settings: AutoencoderSettings):
        super().__init__()
        shape = {
            "features": len(mean),
            "code_dim": settings.code_dim,
            "width": settings.width,
            "stages": settings.downsample.bit_length() - 1,
            "depth": settings.depth,
            "dilation_growth": settings.dilation_growth,
        }
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        self.encoder = ConvEncoder(**shape)
        self.quantizer: Quantizer = new_quantizer(settings.quantizer, settings.code_dim)
        self.decoder = ConvDecoder(**shape)

    def normalise(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std

    def latents(self, features: Tensor, steps: ValidSteps) -> Tensor:
        """Raw [B, T, D] -> [B, code_dim, K], zero beyond a clip's steps."""
        return self._latents(self.normalise(features), steps)

    def hidden(self, features: Tensor, steps: ValidSteps) -> Tensor:
        """Raw [B, T, D] -> [B, width, K], what the latents are projected from; zero beyond a clip's steps."""
        return self._encoded(self.encoder.hidden, self.normalise(features), steps)

    def decode(self, codes: Tensor, steps: ValidSteps) -> Tensor:
        """Codes [B, K, L] -> raw [B, T, D]."""
        return self._frames(self.quantizer.decode(codes), steps) * self.std + self.mean

    def forward(self, normalised: Tensor, steps: ValidSteps) -> tuple[Tensor, Quantized]:
        """Normalised [B, T, D] -> normalised reconstruction [B, T, D], and what the quantizer did."""
        quantized = self.quantizer(self._latents(normalised, steps), steps.mask)
        return self._frames(quantized.quantized, steps), quantized

    def _latents(self, normalised: Tensor, steps: ValidSteps) -> Tensor:
        """[B, T, D] -> [B, code_dim, K]."""
        return self._encoded(self.encoder, normalised, steps)

    @staticmethod
    def _encoded(encode: Callable[..., Tensor], normalised: Tensor, steps: ValidSteps) -> Tensor:
        per_step = normalised.shape[1] // steps.valid.shape[1]
        return encode(normalised.transpose(1, 2), steps.tail(per_step))

    def _frames(self, latents: Tensor, steps: ValidSteps) -> Tensor:
        """[B, code_dim, K] -> [B, T, D]."""
        return self.decoder(latents, steps.tail()).transpose(1, 2)


def of_clips(
    parts: Sequence[str], features: Mapping[str, Tensor], steps: ValidSteps, rows: Mapping[str, Tensor] | None
) -> tuple[Tensor, list[int], ValidSteps]:
    """One batch of the clips that have the parts of an autoencoder, how many have each, and their valid steps."""
    if rows is None:
        batch = len(steps.valid)
        return torch.cat([features[part] for part in parts]), [batch] * len(parts), steps.repeated(len(parts))
    chosen = [rows[part] for part in parts]
    stacked = torch.cat([features[part][own] for part, own in zip(parts, chosen)])
    return stacked, [len(own) for own in chosen], steps.picked(torch.cat(chosen))


def spread_out(codes: Tensor, rows: Tensor, batch: int) -> Tensor:
    """[B', K, L] of the clips `rows` -> [B, K, L], -1 of the others."""
    return codes.new_full((batch, *codes.shape[1:]), PADDING_CODE).index_copy(0, rows, codes)
