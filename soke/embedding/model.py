"""Networks of this room: two encoders of one space (Radford et al. 2021; of motion, Petrovich et al. 2023), and a
convolutional auto-encoder of chunks of joints (Yoon et al. 2020).

Everywhere: B sequences of T frames of F features, or of L tokens; D numbers of an embedding or a latent.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from soke.data.statistics import STD_FLOOR
from soke.embedding.settings import EncoderSettings, MotionAutoencoderSettings
from soke.text.vocabulary import TextVocabulary
from soke.transformer import EncoderLayer, embedded, initialise_embedding, sinusoids

_SHARPEST = math.log(100.0)  # of the learnt scale, as CLIP bounds it


class SequenceEncoder(nn.Module):
    """A transformer over embedded positions, whose mean is projected to length 1."""

    def __init__(self, settings: EncoderSettings):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width, eps=1e-6)
        self.projection = nn.Linear(settings.width, settings.dimension, bias=False)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, width] without positions, mask [B, T] bool, True at least once each -> [B, D] of length 1"""
        x = self.dropout(x + sinusoids(torch.arange(x.shape[1], device=x.device), x.shape[2]))
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        x = self.norm(x).masked_fill(~mask[..., None], 0.0).sum(1) / mask.sum(1, keepdim=True)
        return functional.normalize(self.projection(x).float(), dim=1)


class RetrievalModel(nn.Module):
    """Motions and sentences in one space; features are normalised inside.

    mean, std:   [F] of the training features; std is floored
    texts:       size of the text vocabulary
    temperature: that similarities are divided by at first; it is learnt, and at least 0.01
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, texts: int, settings: EncoderSettings, temperature: float = 0.07):
        super().__init__()
        self.settings = settings
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        self.frame_embedding = nn.Linear(len(mean), settings.width)
        self.motion_encoder = SequenceEncoder(settings)
        self.text_embedding = nn.Embedding(texts, settings.width, padding_idx=TextVocabulary.PADDING)
        self.text_encoder = SequenceEncoder(settings)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        initialise_embedding(self.text_embedding, [TextVocabulary.PADDING])

    @property
    def scale(self) -> Tensor:
        """[] what similarities are multiplied by: the temperature's inverse."""
        return self.log_scale.clamp(max=_SHARPEST).exp()

    def embed_motions(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Raw features [B, T, F] of motions of `lengths` [B] frames, each at least one -> [B, D] of length 1"""
        mask = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        return self.motion_encoder(self.frame_embedding((features - self.mean) / self.std), mask)

    def embed_texts(self, tokens: Tensor) -> Tensor:
        """Ids [B, L], padded, each of at least one token -> [B, D] of length 1"""
        return self.text_encoder(embedded(self.text_embedding, tokens), tokens != TextVocabulary.PADDING)


def contrastive_loss(motions: Tensor, texts: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """[] symmetric cross-entropy of which motion of the batch belongs to which sentence (CLIP), where all clips of one
    group, those of the same sentence, are equally right (Khosla et al. 2020).

    motions, texts: [B, D] of length 1
    scale:          [] of their similarities
    groups:         [B] number of each clip's sentence
    """
    same = (groups[:, None] == groups).float()
    target = same / same.sum(1, keepdim=True)  # symmetric: rows of one group are equal
    with torch.autocast(motions.device.type, enabled=False):  # cosines that a half would round to one
        logits = scale.float() * motions @ texts.T
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


class ChunkAutoencoder(nn.Module):
    """Chunks of joints to latents, and back: three convolutions, of which two halve the time, and a linear layer; the
    decoder mirrors them.

    mean, std: [F] of the frames' coordinates in training; std is floored
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, settings: MotionAutoencoderSettings):
        super().__init__()
        self.settings, width, size = settings, settings.width, len(mean)
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        self._half = (settings.chunk + 1) // 2
        self._quarter = (self._half + 1) // 2
        self.encoder = nn.Sequential(
            nn.Conv1d(size, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, width, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv1d(width, width, 3, stride=2, padding=1), nn.GELU(),
        )
        self.to_latent = nn.Linear(width * self._quarter, settings.dimension)
        self.from_latent = nn.Linear(settings.dimension, width * self._quarter)
        self.decoder = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.output = nn.Conv1d(width, size, 3, padding=1)

    def normalised(self, chunks: Tensor) -> Tensor:
        return (chunks - self.mean) / self.std

    def encode(self, chunks: Tensor) -> Tensor:
        """Raw [B, chunk, F] -> [B, D]"""
        return self.to_latent(self.encoder(self.normalised(chunks).transpose(1, 2)).flatten(1))

    def decode(self, latents: Tensor) -> Tensor:
        """[B, D] -> normalised [B, chunk, F]"""
        x = functional.gelu(self.from_latent(latents).unflatten(1, (-1, self._quarter)))
        for layer, length in zip(self.decoder, (self._half, self.settings.chunk)):
            x = functional.gelu(layer(functional.interpolate(x, length)))
        return self.output(x).transpose(1, 2)

    def reconstruct(self, chunks: Tensor) -> Tensor:
        """Raw [B, chunk, F] -> raw [B, chunk, F]"""
        return self.decode(self.encode(chunks)) * self.std + self.mean
