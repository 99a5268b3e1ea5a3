"""What one training pass of a tokenizer gives."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from soke.tokenizer.codes import Codes


@dataclass
class TokenizerOutput:
    """One training pass. T is floored to a multiple of the downsampling factor, K = T / downsample. Of a part there are
    the B' of the B clips that have it.

    target:         {part: [B', T, D]} normalised features
    reconstruction: {part: [B', T, D]} what became of them
    codes:          of K steps, -1 in the streams of parts that a clip does not have
    frames:         [B, T] bool, True where a frame is valid
    masks:          {part: [B', T]} the same of the part's clips
    commitment:     {distinct part: []}, see `Quantized`
    codebook:       {distinct part: []}, by which its quantizer learns, see `Quantized`
    """

    target: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    codes: Codes
    frames: Tensor
    masks: dict[str, Tensor]
    commitment: dict[str, Tensor]
    codebook: dict[str, Tensor]
