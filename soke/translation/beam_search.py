"""Search: the likeliest sentences of each clip, and the glosses that its frames spell."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.transformer import Memory
from soke.translation.model import SignTranslationModel

PADDING, BEGIN, END = TextVocabulary.PADDING, TextVocabulary.BEGIN, TextVocabulary.END


@dataclass(frozen=True)
class Hypotheses:
    """M sentences of each of B clips that a search has found.

    tokens:  [B, M, S] ids, without the end, then padding
    lengths: [B, M] tokens, the end among them
    scores:  [B, M] log-probabilities, -inf where there is no sentence
    """

    tokens: Tensor
    lengths: Tensor
    scores: Tensor

    def best(self, alpha: float) -> list[list[int]]:
        """The sentence of each clip with the highest log-probability over ((5 + length) / 6) ^ alpha (Wu et al. 2016).

        alpha: 0 or below: no penalty; the higher, the longer the sentence
        """
        penalties = ((5 + self.lengths) / 6) ** max(alpha, 0.0)
        index = (self.scores / penalties).argmax(1)
        chosen = self.tokens[torch.arange(len(index), device=index.device), index]
        return [[token for token in row if token != PADDING] for row in chosen.tolist()]


@torch.no_grad()
def beam_search(model: SignTranslationModel, memory: Memory, beams: int, max_tokens: int) -> Hypotheses:
    """Sentences found by keeping the `beams` likeliest beginnings; one beam is greedy search.

    A sentence that ends leaves the beam. A clip is done when as many have ended as there are beams, or at `max_tokens`
    words, where those that go on count as well. None of this depends on a length penalty, for sentences that compete
    are of the same length: whatever the penalty, the best is among what is returned. Nor on the other clips.
    """
    batch, device = len(memory.mask), memory.mask.device
    spare = 2 * beams - 1  # a step begins with at most beams - 1 ended and adds at most as many as there are beams
    tokens = torch.full((batch, spare + 1, max_tokens), PADDING, device=device)
    lengths = torch.ones(batch, spare + 1, dtype=torch.int64, device=device)
    scores = torch.full((batch, spare + 1), -torch.inf, device=device)
    ended = torch.zeros(batch, dtype=torch.int64, device=device)
    written = torch.full((batch, beams, max_tokens), PADDING, device=device)
    alive = torch.full((batch, beams), -torch.inf, device=device)
    alive[:, 0] = 0.0
    first = torch.arange(batch, device=device)[:, None] * beams  # row of each clip's first beam
    last, past = torch.full((batch * beams, 1), BEGIN, device=device), None
    for step in range(max_tokens):
        logits, past = model.decode(last, memory, past)
        logits = logits[:, 0].float()
        logits[:, :END] = -torch.inf  # specials that no sentence holds
        totals = alive[..., None] + logits.log_softmax(-1).view(batch, beams, -1)
        best, index = totals.flatten(1).topk(2 * beams)  # enough, for only one continuation of each beam ends
        parent, token = index // totals.shape[2], index % totals.shape[2]
        ends = token == END
        longer = written.gather(1, parent[..., None].expand(-1, -1, max_tokens))
        longer[..., step] = token.masked_fill(ends, PADDING)

        leaving = ends | (step == max_tokens - 1)
        leaving = leaving & best.isfinite() & (ended < beams)[:, None]
        leaving[:, beams:] = False
        slot = (ended[:, None] + leaving.cumsum(1) - 1).masked_fill(~leaving, spare)
        tokens.scatter_(1, slot[..., None].expand_as(longer), longer)
        lengths.scatter_(1, slot, step + 1)
        scores.scatter_(1, slot, best)
        ended += leaving.sum(1)
        if step == max_tokens - 1 or (ended >= beams).all():
            break

        alive, kept = best.masked_fill(ends, -torch.inf).topk(beams)
        written = longer.gather(1, kept[..., None].expand(-1, -1, max_tokens))
        last = token.gather(1, kept).view(-1, 1)
        rows = (first + parent.gather(1, kept)).flatten()
        past = [(keys[rows], values[rows]) for keys, values in past]
    return Hypotheses(tokens[:, :spare], lengths[:, :spare], scores[:, :spare])


def spelled_glosses(scores: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest gloss of every frame, repetitions and then blanks taken away (greedy CTC decoding).

    scores: [B, T, glosses]; lengths: [B] frames. Returns B lists of gloss ids.
    """
    best = scores.argmax(-1)
    before = torch.cat([torch.full_like(best[:, :1], GlossVocabulary.BLANK), best[:, :-1]], dim=1)
    frames = torch.arange(best.shape[1], device=best.device) < lengths[:, None]
    written = (best != before) & (best != GlossVocabulary.BLANK) & frames
    return [row[keep].tolist() for row, keep in zip(best.cpu(), written.cpu())]
