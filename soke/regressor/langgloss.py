"""Prompt2LangGloss (SignLLM): what is read of a sentence to glosses that name their sign language, for all languages by
one encoder and one decoder; its hidden states are what the poses are made of.

Everywhere: B sentences of L tokens in the source, S tokens of LangGloss.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from soke.evaluation.protocols import Sentence
from soke.regressor.settings import Regressor
from soke.regressor.transformer import Past
from soke.settings import TransformerSettings
from soke.text.lang_glosses import END, PADDING, LangGlosses
from soke.transformer import EncoderDecoder, Memory, embedded, initialise_embedding


@dataclass
class Written:
    """LangGloss of B sentences, and what the poses are to be made of.

    states: [B, S, width] the decoder's hidden states, at the beginning and at every token
    mask:   [B, S] bool, True where there is one
    ids:    of each sentence its tokens, without beginning and end
    losses: [B] mean cross-entropy of the tokens and the end; None where they were not given
    """

    states: Tensor
    mask: Tensor
    ids: list[list[int]]
    losses: Tensor | None = None


class LangGlossFront(EncoderDecoder):
    """An encoder of the source and a decoder that writes LangGloss.

    The poses are conditioned on the decoder's hidden states, and their loss reaches both networks through them [A]. The
    states hold the tokens that the decoder reads, those of the reference in training and its own in inference, so that
    nothing need be embedded a second time; the sentence, of which glosses leave much out; and no choice that a gradient
    could not pass, as tokens alone would be. The paper passes on the states of its stage, too (f_u).

    glosses: vocabulary
    """

    def __init__(self, glosses: LangGlosses, settings: Regressor):
        own, width = settings.lang_gloss, settings.width
        super().__init__()
        self.add_layers(
            TransformerSettings(width, own.layers, settings.heads, settings.feedforward, settings.dropout)
        )
        self.glosses, self.settings = glosses, own
        self.embedding = nn.Embedding(len(glosses), width, padding_idx=PADDING)
        self.head = nn.Linear(width, len(glosses))
        self.initialise()
        # Unknown words are met in validation alone.
        initialise_embedding(self.embedding, [PADDING, *(glosses.unknown(language) for language in glosses.words)])

    def decode(self, ids: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """Hidden states [B, S, width] at tokens [B, S], and what a later call takes as `past`; with one, S is 1."""
        return self.decode_embedded(embedded(self.embedding, ids), memory, past)

    def forward(self, x: Tensor, mask: Tensor, sentences: Sequence[Sentence]) -> Written:
        """Teacher forcing: the decoder reads the sentences' own tokens. x, mask as of `encode_embedded`.

        An unknown word counts in no loss, for no training can make it likely. Raises UserError for an unknown language.
        """
        memory, device = self.encode_embedded(x, mask), x.device
        ids = [self._own(sentence) for sentence in sentences]
        read = _padded([[self.glosses.beginning(s.language), *own] for s, own in zip(sentences, ids)]).to(device)
        known = [[PADDING if i == self.glosses.unknown(s.language) else i for i in own] for s, own in zip(sentences, ids)]
        wanted = _padded([[*own, END] for own in known]).to(device)
        states, _ = self.decode(read, memory)
        losses = functional.cross_entropy(
            self.head(states).float().transpose(1, 2), wanted, ignore_index=PADDING, reduction="none"
        )
        counted = wanted != PADDING
        return Written(states, read != PADDING, ids, losses.sum(1) / counted.sum(1))

    @torch.no_grad()
    def write(self, x: Tensor, mask: Tensor, languages: Sequence[str]) -> Written:
        """The likeliest token, one after the other, each sentence until its own end or the longest output; known words
        of its own language alone. x, mask as of `encode_embedded`. Raises UserError for an unknown language."""
        memory, device = self.encode_embedded(x, mask), x.device
        last = torch.tensor([[self.glosses.beginning(language)] for language in languages], device=device)
        barred = self._barred(languages).to(device)
        going = torch.ones(len(languages), dtype=torch.bool, device=device)
        states, there, tokens, past = [], [], [], None
        for step in range(self.settings.max_tokens + 1):
            state, past = self.decode(last, memory, past)
            states.append(state)
            there.append(going)
            scores = self.head(state[:, 0]).float().masked_fill(barred, -torch.inf)
            chosen = scores.argmax(1).masked_fill(~going, END)
            going = going & (chosen != END)
            if step == self.settings.max_tokens or not going.any():
                break
            tokens.append(chosen)
            last = chosen[:, None]
        rows = torch.stack(tokens, dim=1).tolist() if tokens else [[] for _ in languages]
        ids = [row[: row.index(END)] if END in row else row for row in rows]
        return Written(torch.cat(states, dim=1), torch.stack(there, dim=1), ids)

    def _own(self, sentence: Sentence) -> list[int]:
        return self.glosses.ids(sentence.language, sentence.text, getattr(sentence, "gloss", None))

    def _barred(self, languages: Sequence[str]) -> Tensor:
        """[B, tokens] bool: what may not be written."""
        barred = torch.ones(len(languages), len(self.glosses), dtype=torch.bool)
        barred[:, END] = False
        for row, language in zip(barred, languages):
            words = self.glosses.words_of(language)
            row[words.start : words.stop] = False
        return barred


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PADDING)
