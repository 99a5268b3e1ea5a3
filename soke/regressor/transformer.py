"""Progressive Transformer (Saunders et al. 2020): words to frames of poses, with a counter that says how far it is.

Everywhere: B sentences of L tokens, T frames of F features and a counter, which goes from 0 before the first frame to 1
at the last; K frames are predicted at each step.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soke.regressor.settings import Regressor
from soke.text.vocabulary import TextVocabulary
from soke.transformer import DecoderLayer, EncoderLayer, KeysValues, sinusoids

Past = list[KeysValues]


@dataclass
class Memory:
    """What the decoder reads of B sentences.

    states: [B, L, width] the encoder's output
    mask:   [B, L] bool, True where there is a token
    cross:  per decoder layer the keys and values of the states, [B, H, L, width / H] each
    """

    states: Tensor
    mask: Tensor
    cross: list[KeysValues]

    def rows(self, index: Tensor) -> Memory:
        """Of these sentences, by their numbers or a mask."""
        cross = [(keys[index], values[index]) for keys, values in self.cross]
        return Memory(self.states[index], self.mask[index], cross)


class ProgressiveTransformer(nn.Module):
    """Tokens, and the frames so far, to the next frames; normalised features in and out.

    vocabulary: number of tokens
    features:   F
    """

    def __init__(self, vocabulary: int, features: int, settings: Regressor):
        super().__init__()
        width, self.settings, self.features = settings.width, settings, features
        self.token_embedding = nn.Embedding(vocabulary, width, padding_idx=TextVocabulary.PADDING)
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.layers))
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.frame_embedding = nn.Linear(1 if settings.just_counter else features + 1, width)
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.decoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.frame_head = nn.Linear(width, settings.future * features + 1)
        self.dropout = nn.Dropout(settings.dropout)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        with torch.no_grad():
            nn.init.normal_(self.token_embedding.weight, std=self.settings.width**-0.5)
            # A word that no training sentence has is never trained: it says nothing, rather than anything.
            self.token_embedding.weight[[TextVocabulary.PADDING, TextVocabulary.UNKNOWN]] = 0

    def embed(self, ids: Tensor) -> Tensor:
        """Ids [B, L] -> [B, L, width], without their positions."""
        return self.token_embedding(ids) * math.sqrt(self.settings.width)

    def encode(self, ids: Tensor) -> Memory:
        """Ids [B, L], padded with TextVocabulary.PADDING."""
        return self.encode_embedded(self.embed(ids), ids != TextVocabulary.PADDING)

    def encode_embedded(self, x: Tensor, mask: Tensor) -> Memory:
        """x [B, L, width] in the place of embeddings; mask [B, L] bool, True where there is a token."""
        x = self._placed(x, 0)
        for layer in self.encoder:
            x = layer(x, mask[:, None, None])
        states = self.encoder_norm(x)
        return Memory(states, mask, [layer.cross_attention.keys_values(states) for layer in self.decoder])

    def decode(self, frames: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """What follows each frame: [B, T, K * F + 1], the K frames one after the other and the first one's counter; and
        what a later call takes as `past`.

        frames: [B, T, F + 1] features and counter; with a past the one that comes next, [B, 1, F + 1]
        """
        start = 0 if past is None else past[0][0].shape[2]
        x = self.frame_embedding(frames[..., -1:] if self.settings.just_counter else frames)
        x, mask, kept = self._placed(x, start), memory.mask[:, None, None], []
        for i, layer in enumerate(self.decoder):
            x, own = layer(x, memory.cross[i], mask, None if past is None else past[i])
            kept.append(own)
        return self.frame_head(self.decoder_norm(x)), kept

    def _placed(self, x: Tensor, start: int) -> Tensor:
        """[B, T, width] with the positions from `start` on."""
        positions = torch.arange(start, start + x.shape[1], device=x.device)
        return self.dropout(x + sinusoids(positions, x.shape[2]))
