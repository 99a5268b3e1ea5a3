"""Sign Language Transformer (Camgoz et al. 2020): frames of features to glosses, by CTC, and to sentences.

Everywhere: B clips of T frames of F features; N sequences of text, N / B for each clip, of L tokens; H heads.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from soke.data.statistics import STD_FLOOR
from soke.settings import TransformerSettings
from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.transformer import DecoderLayer, EncoderDecoder, EncoderLayer, KeysValues, Memory


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of padded sequences: statistics over valid positions alone; a batch that makes them infinite
    or NaN, as half precision may, leaves the running ones as they are."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, D], mask [B, T] bool -> [B, T, D]; in training, padding becomes zero."""
        if not self.training:
            return super().forward(x.flatten(0, 1)).view_as(x)
        running = self.running_mean, self.running_var
        before = [value.clone() for value in running]
        valid = super().forward(x[mask])
        for value, old in zip(running, before):  # .data, as autograd need not know: in training nothing depends on them
            value.data.copy_(torch.where(value.isfinite(), value, old))
        return torch.zeros_like(x, dtype=valid.dtype).masked_scatter(mask[..., None], valid)


@dataclass
class TranslationOutput:
    """One pass under teacher forcing.

    text:         [] cross-entropy, summed over tokens and divided by the number of sentences
    ctc:          [] mean over the clips that have glosses of their CTC loss per gloss; None for a model without glosses
    gloss_scores: [B, T, glosses] log-probabilities; None for a model without glosses
    memory:       of the encoder
    """

    text: Tensor
    ctc: Tensor | None
    gloss_scores: Tensor | None
    memory: Memory


class SignTranslationModel(EncoderDecoder):
    """Raw features to text; they are normalised inside.

    mean, std: [F] of the training features; std is floored
    texts:     size of the text vocabulary
    glosses:   size of the gloss vocabulary; 0: no glosses are learnt
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, texts: int, glosses: int, settings: TransformerSettings):
        super().__init__()
        width, self.settings = settings.width, settings
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        self.frame_embedding = nn.Linear(len(mean), width)
        self.frame_norm = MaskedBatchNorm(width)
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.layers))
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.gloss_head = nn.Linear(width, glosses) if glosses else None
        self.text_embedding = nn.Embedding(texts, width, padding_idx=TextVocabulary.PADDING)
        self.text_norm = MaskedBatchNorm(width)
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.layers))
        self.decoder_norm = nn.LayerNorm(width, eps=1e-6)
        self.text_head = nn.Linear(width, texts, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.initialise()
        with torch.no_grad():
            self.text_embedding.weight[TextVocabulary.PADDING] = 0

    def encode(self, features: Tensor, lengths: Tensor) -> Memory:
        """Raw features [B, T, F] of clips of `lengths` [B] frames, each at least one."""
        frames = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        x = self.frame_embedding((features - self.mean) / self.std)
        return self.encode_embedded(self.frame_norm(x, frames), frames)

    def decode(
        self, tokens: Tensor, memory: Memory, past: list[KeysValues] | None = None
    ) -> tuple[Tensor, list[KeysValues]]:
        """Logits [N, L, texts] of what follows each token of [N, L], and what a later call takes as `past`.

        Sequence n belongs to clip n // (N / B). With a past, `tokens` is the one that comes next, [N, 1].
        """
        x = self.text_norm(self.text_embedding(tokens), tokens != TextVocabulary.PADDING)
        states, kept = self.decode_embedded(x, memory, past)
        return self.text_head(states), kept

    def gloss_scores(self, memory: Memory) -> Tensor | None:
        """Log-probabilities [B, T, glosses] of every frame, None for a model without glosses."""
        return None if self.gloss_head is None else self.gloss_head(memory.states).float().log_softmax(-1)

    def forward(
        self, features: Tensor, lengths: Tensor, text: Tensor, glosses: Tensor, gloss_counts: Tensor,
        label_smoothing: float = 0.0,
    ) -> TranslationOutput:
        """Losses of one batch.

        features, lengths: as of `encode`
        text:              [B, L] ids from the beginning to the end of each sentence, then padding
        glosses:           [B, G] ids, then anything
        gloss_counts:      [B] glosses of each clip, -1 for a clip that has none to learn from
        label_smoothing:   share of a token's probability that the text loss spreads over the vocabulary
        """
        memory = self.encode(features, lengths)
        logits, _ = self.decode(text[:, :-1], memory)
        text_loss = functional.cross_entropy(
            logits.flatten(0, 1).float(), text[:, 1:].flatten(), ignore_index=TextVocabulary.PADDING, reduction="sum",
            label_smoothing=label_smoothing,
        )
        scores = self.gloss_scores(memory)
        ctc = None if scores is None else _ctc(scores, lengths, glosses, gloss_counts)
        return TranslationOutput(text_loss / len(text), ctc, scores, memory)

    def _placed(self, x: Tensor, start: int) -> Tensor:
        """Embeddings between -1 and 1, with the positions from `start` on."""
        return super()._placed(functional.softsign(x), start)


def _ctc(scores: Tensor, lengths: Tensor, glosses: Tensor, counts: Tensor) -> Tensor:
    """torch's mean reduction over the clips with counts of at least 0; 0 when there is none."""
    losses = functional.ctc_loss(
        scores.transpose(0, 1), glosses, lengths, counts.clamp_min(0), GlossVocabulary.BLANK, reduction="none",
        zero_infinity=True,
    )
    learnt = counts >= 0
    return (losses / counts.clamp_min(1) * learnt).sum() / learnt.sum().clamp_min(1)
