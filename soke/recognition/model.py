"""The sign classifier of M3T (section 3.4, appendix D.3): a transformer over the states of frozen encoders, and an MLP.

Everywhere: B clips of K steps of P parts, S states of each; C signs.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from soke.data.statistics import STD_FLOOR
from soke.recognition.settings import ClassifierSettings
from soke.transformer import sinusoids


class SignClassifier(nn.Module):
    """States of all parts, interleaved step by step, to scores of signs.

    As published: three layers of width 1024 with four heads, and an MLP, 26 million weights with tokenizers of that
    width. What no paper states is ours: states are normalised; a part has an embedding that is learnt, a step
    sinusoids; layers are normalised before; the MLP reads the mean over a clip's tokens.

    mean, std: [P, S] of the states that it is trained on; std is floored
    signs:     C
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, signs: int, settings: ClassifierSettings):
        super().__init__()
        self.settings, width, dropout = settings, settings.width, settings.dropout
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        states = mean.shape[1]
        self.project = nn.Identity() if states == width else nn.Linear(states, width)
        self.parts = nn.Parameter(0.02 * torch.randn(len(mean), width))
        layer = nn.TransformerEncoderLayer(
            width, settings.heads, settings.feedforward, dropout, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, settings.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Sequential(
            nn.Linear(width, settings.hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(settings.hidden, signs)
        )

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """states [B, K, P, S], lengths [B] steps, at least 1 -> scores [B, C]. Padding changes nothing.

        Raises ValueError for shapes that do not fit.
        """
        batch, steps, parts, size = states.shape
        if (parts, size) != self.mean.shape or lengths.shape != (batch,):
            raise ValueError(
                f"states must be [B, K, {', '.join(map(str, self.mean.shape))}] and lengths [B], not "
                f"{list(states.shape)} and {list(lengths.shape)}"
            )
        places = torch.arange(steps, device=states.device)
        tokens = self.project((states - self.mean) / self.std) + self.parts
        tokens = (tokens + sinusoids(places, tokens.shape[-1])[:, None]).flatten(1, 2)  # [B, K * P, width]
        valid = (places < lengths[:, None]).repeat_interleave(parts, dim=1)  # [B, K * P]
        hidden = self.encoder(tokens, src_key_padding_mask=~valid)
        hidden = hidden.masked_fill(~valid[..., None], 0.0)
        return self.head(hidden.sum(1) / valid.sum(1, keepdim=True))
