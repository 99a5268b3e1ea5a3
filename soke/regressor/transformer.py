"""Progressive Transformer (Saunders et al. 2020): words to frames of poses, with a counter that says how far it is.

Everywhere: B sentences of L tokens, T frames of F features and a counter, which goes from 0 before the first frame to 1
at the last; K frames are predicted at each step.
"""
from __future__ import annotations

from torch import Tensor, nn

from soke.regressor.settings import Regressor
from soke.text.vocabulary import TextVocabulary
from soke.transformer import EncoderDecoder, KeysValues, Memory, embedded, initialise_embedding

Past = list[KeysValues]


class ProgressiveTransformer(EncoderDecoder):
    """Tokens, and the frames so far, to the next frames; normalised features in and out.

    vocabulary: number of tokens
    features:   F
    """

    def __init__(self, vocabulary: int, features: int, settings: Regressor):
        super().__init__()
        self.add_layers(settings)
        width, self.settings, self.features = settings.width, settings, features
        self.token_embedding = nn.Embedding(vocabulary, width, padding_idx=TextVocabulary.PADDING)
        self.frame_embedding = nn.Linear(1 if settings.just_counter else features + 1, width)
        self.frame_head = nn.Linear(width, settings.future * features + 1)
        self.initialise()
        initialise_embedding(self.token_embedding, [TextVocabulary.PADDING, TextVocabulary.UNKNOWN])

    def embed(self, ids: Tensor) -> Tensor:
        """Ids [B, L] -> [B, L, width], without their positions."""
        return embedded(self.token_embedding, ids)

    def encode(self, ids: Tensor) -> Memory:
        """Ids [B, L], padded with TextVocabulary.PADDING."""
        return self.encode_embedded(self.embed(ids), ids != TextVocabulary.PADDING)

    def decode(self, frames: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """What follows each frame: [B, T, K * F + 1], the K frames one after the other and the first one's counter; and
        what a later call takes as `past`.

        frames: [B, T, F + 1] features and counter; with a past the one that comes next, [B, 1, F + 1]
        """
        x = self.frame_embedding(frames[..., -1:] if self.settings.just_counter else frames)
        states, kept = self.decode_embedded(x, memory, past)
        return self.frame_head(states), kept
