"""Small tokenizers and motions that the tests of this room share."""
from __future__ import annotations

import torch
from torch import Tensor

from soke.body.joints import LEFT_HAND, RIGHT_HAND, UPPER_BODY
from soke.body.layout import MotionLayout, PartSpec
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
from soke.tokenizer.settings import AutoencoderSettings, Ema, Quantizer
from soke.tokenizer.tokenizer import SignTokenizer

SOKE = MotionLayout(
    [
        PartSpec("body", UPPER_BODY, jaw=True, expression=10),
        PartSpec("lhand", LEFT_HAND),
        PartSpec("rhand", RIGHT_HAND),
    ]
)
MIRRORED = MotionLayout(
    [PartSpec("lhand", LEFT_HAND, mirrors="rhand"), PartSpec("rhand", RIGHT_HAND), PartSpec("body", UPPER_BODY)]
)
CODES = {"body": 12, "lhand": 20, "rhand": 20}


def ema(codes: int, **networks: int) -> AutoencoderSettings:
    """An autoencoder with a codebook of moving averages, SOKE's but for its networks."""
    return AutoencoderSettings(quantizer=Ema(codes=codes, decay=0.99), **networks)


def small_tokenizer(
    layout: MotionLayout = SOKE, num_codes: dict[str, int] = CODES, quantizers: dict[str, Quantizer] | None = None,
    **networks: int,
) -> SignTokenizer:
    """In evaluation mode, with random weights, codebooks and statistics.

    quantizers: of the parts that have another than an EMA codebook of `num_codes`
    """
    torch.manual_seed(0)
    distinct = dict.fromkeys(layout.distinct.values())  # in an order that is the same in every process
    mean = {part: torch.randn(layout.sizes[part]) * 0.1 for part in distinct}
    std = {part: torch.rand(layout.sizes[part]) + 0.5 for part in distinct}
    sizes = {"code_dim": 16, "width": 16, **networks}
    settings = {part: ema(num_codes[part], **sizes) for part in distinct}
    for part, quantizer in (quantizers or {}).items():
        settings[part] = AutoencoderSettings(quantizer=quantizer, **sizes)
    tokenizer = SignTokenizer(layout, mean, std, settings)
    for module in tokenizer.modules():
        if isinstance(module, CodebookQuantizer):
            started(module)
    return tokenizer.eval()


@torch.no_grad()
def started(quantizer: CodebookQuantizer) -> None:
    """As after a first batch, with random vectors."""
    quantizer.codebook.normal_(std=0.3)
    if hasattr(quantizer, "sums"):
        quantizer.sums.copy_(quantizer.codebook)
    quantizer.updates.fill_(1)


def random_features(lengths: list[int], layout: MotionLayout = SOKE, padding: float = 0.0) -> tuple[dict, Tensor]:
    """Features {part: [B, max(lengths), D]} filled with `padding` beyond each length, and the lengths [B]."""
    generator = torch.Generator().manual_seed(1)
    features = {
        part: torch.randn(len(lengths), max(lengths), size, generator=generator) for part, size in layout.sizes.items()
    }
    for values in features.values():
        for row, length in zip(values, lengths):
            row[length:] = padding
    return features, torch.tensor(lengths)


def smooth_features(clips: int, frames: int, layout: MotionLayout = SOKE) -> tuple[dict, Tensor]:
    """Sinusoids of different phase and frequency per clip, in phase over a part's features."""
    generator = torch.Generator().manual_seed(2)
    time = torch.arange(frames) / frames
    features = {}
    for part, size in layout.sizes.items():
        cycles, phase = torch.rand(2, clips, 1, 1, generator=generator)
        amplitude = torch.rand(size, generator=generator)
        features[part] = 0.3 * amplitude * torch.sin(6.28 * ((1 + 3 * cycles) * time[:, None] + phase))
    return features, torch.full((clips,), frames)
