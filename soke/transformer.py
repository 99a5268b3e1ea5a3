"""Layers of transformers (Vaswani et al. 2017), normalised before each of their parts, whose keys and values can be kept.

B sequences of T positions are read; N of L are written, N / B for each; H heads.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from soke.settings import TransformerSettings

KeysValues = tuple[Tensor, Tensor]  # [N, H, L, width / H] each


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be kept."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def keys_values(self, x: Tensor) -> KeysValues:
        """[N, L, width] -> [N, H, L, width / H] twice"""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, kept: KeysValues, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """x [N, L, width], mask [N, 1, 1, keys] bool, True where there is something to see -> [N, L, width]"""
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(x)), *kept, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Layer(nn.Module):
    """What both kinds of layers have: attention to the own sequence and a feed-forward network, normalised before."""

    def __init__(self, settings: TransformerSettings):
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.attention = Attention(width, settings.heads, dropout)
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.feedforward = nn.Sequential(
            nn.Linear(width, settings.feedforward), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(settings.feedforward, width),
        )
        self.dropout = nn.Dropout(dropout)


class EncoderLayer(_Layer):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, width], mask [B, 1, 1, T] bool -> [B, T, width]"""
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, self.attention.keys_values(normed), mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class DecoderLayer(_Layer):
    def __init__(self, settings: TransformerSettings):
        super().__init__(settings)
        self.cross_attention = Attention(settings.width, settings.heads, settings.dropout)
        self.cross_norm = nn.LayerNorm(settings.width, eps=1e-6)

    def forward(
        self, x: Tensor, memory: KeysValues, mask: Tensor, past: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        """x [N, L, width] -> [N, L, width], and the keys and values of these tokens after those of the past.

        memory: [B, H, T, width / H] twice; mask: [B, 1, 1, T] bool; with a past, L is 1
        """
        normed = self.attention_norm(x)
        kept = self.attention.keys_values(normed)
        if past is not None:
            kept = tuple(torch.cat(pair, dim=2) for pair in zip(past, kept))
        x = x + self.dropout(self.attention(normed, kept, causal=past is None))
        queries = self.cross_norm(x).reshape(len(mask), -1, x.shape[2])  # a clip's sequences share its memory
        x = x + self.dropout(self.cross_attention(queries, memory, mask).view_as(x))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x))), kept


@dataclass
class Memory:
    """What a decoder reads of B sequences.

    states: [B, T, width] the encoder's output
    mask:   [B, T] bool, True where there is something
    cross:  per decoder layer the keys and values of the states, [B, H, T, width / H] each
    """

    states: Tensor
    mask: Tensor
    cross: list[KeysValues]

    def rows(self, index: Tensor) -> Memory:
        """Of these sequences, by their numbers or a mask."""
        cross = [(keys[index], values[index]) for keys, values in self.cross]
        return Memory(self.states[index], self.mask[index], cross)


class EncoderDecoder(nn.Module):
    """The ways through an encoder and a decoder, between embeddings and heads of whoever inherits it; which makes the
    layers, by `add_layers` or, where it draws their weights in another order, itself, under the same names."""

    encoder: nn.ModuleList
    encoder_norm: nn.LayerNorm
    decoder: nn.ModuleList
    decoder_norm: nn.LayerNorm
    dropout: nn.Dropout

    def add_layers(self, settings: TransformerSettings) -> None:
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.layers))
        self.encoder_norm = nn.LayerNorm(settings.width, eps=1e-6)
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.decoder_norm = nn.LayerNorm(settings.width, eps=1e-6)
        self.dropout = nn.Dropout(settings.dropout)

    def initialise(self) -> None:
        """Xavier's weights, and no biases; to be called once all parts are there."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def encode_embedded(self, x: Tensor, mask: Tensor) -> Memory:
        """x [B, T, width], without positions; mask [B, T] bool, True where there is something."""
        x = self._placed(x, 0)
        for layer in self.encoder:
            x = layer(x, mask[:, None, None])
        states = self.encoder_norm(x)
        return Memory(states, mask, [layer.cross_attention.keys_values(states) for layer in self.decoder])

    def decode_embedded(
        self, x: Tensor, memory: Memory, past: list[KeysValues] | None = None
    ) -> tuple[Tensor, list[KeysValues]]:
        """x [N, L, width], without positions, to hidden states [N, L, width], and what a later call takes as `past`; with
        one, L is 1. Sequence n reads sequence n // (N / B) of the memory."""
        x, kept = self._placed(x, 0 if past is None else past[0][0].shape[2]), []
        for i, layer in enumerate(self.decoder):
            x, own = layer(x, memory.cross[i], memory.mask[:, None, None], None if past is None else past[i])
            kept.append(own)
        return self.decoder_norm(x), kept

    def _placed(self, x: Tensor, start: int) -> Tensor:
        """With the positions from `start` on."""
        positions = torch.arange(start, start + x.shape[1], device=x.device)
        return self.dropout(x + sinusoids(positions, x.shape[2]))


def initialise_embedding(embedding: nn.Embedding, silent: list[int]) -> None:
    """Small, and zero for tokens that say nothing: padding, and words that no training meets."""
    with torch.no_grad():
        nn.init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5)
        embedding.weight[silent] = 0


def embedded(embedding: nn.Embedding, ids: Tensor) -> Tensor:
    """Ids [B, L] -> [B, L, width], of the size of positions."""
    return embedding(ids) * math.sqrt(embedding.embedding_dim)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """[T] -> [T, width]: sine and cosine in turn, wavelengths from 2 pi to 10000 * 2 pi (Vaswani et al. 2017)."""
    even = torch.arange(0, width, 2, device=positions.device)
    angles = positions[:, None] * torch.exp(even * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
