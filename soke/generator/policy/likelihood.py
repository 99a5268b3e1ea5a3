"""The log-probability of what a generator has output, step by step, as the search draws it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip
from soke.generator.model import SignGenerator, evaluating
from soke.generator.schemes import ABSENT
from soke.generator.search import bars, filtered
from soke.generator.settings import Search


@dataclass(frozen=True)
class Samples:
    """G outputs of a generator for each of B sentences, N = B * G, those of a sentence one after the other.

    clips:   B, of the sentences
    search:  how they were drawn
    output:  [N, R, S, P] what the heads output, as of `SignGenerator.outputs`
    allowed: [N, R, S, P, V + 1] bool, what the filter of top-k and top-p left when they were drawn; None: everything
    """

    clips: Sequence[Clip]
    search: Search
    output: Tensor
    allowed: Tensor | None = None

    @property
    def each(self) -> int:
        """G."""
        return len(self.output) // len(self.clips)

    @property
    def taken(self) -> Tensor:
        """[N, R, S] bool, the decoder steps that each row has taken."""
        return (self.output != ABSENT).any(-1)


def drawn(generator: SignGenerator, clips: Sequence[Clip], search: Search, each: int = 1) -> Samples:
    """`each` outputs for every clip's sentence. Top-k and top-p are a filter that the samples keep: what they are
    compared with, other weights among it, may choose among the same codes."""
    texts, languages = [clip.text for clip in clips], [clip.language for clip in clips]
    outputs = generator.outputs(texts, languages, search, clips, each)
    padded = pad_sequence([rows.transpose(0, 1) for rows in outputs], batch_first=True, padding_value=ABSENT)
    longest = int((padded != ABSENT).flatten(2).any(2).sum(1).max())
    samples = Samples(clips, search, padded[:, :longest].transpose(1, 2))
    if search.method != "sample" or (not search.top_k and search.top_p == 1):
        return samples
    with torch.no_grad():
        allowed = filtered(_legal(generator, samples), search).isfinite()
    return replace(samples, allowed=_with_drawn(allowed, samples.output, generator.scheme.end.to(allowed.device)))


def _with_drawn(allowed: Tensor, output: Tensor, end: Tensor) -> Tensor:
    """`allowed` of `Samples`, and what was drawn: another order of sums may have put that beyond the limit."""
    ends = (output == end).any(-1)
    codes = torch.where((output != ABSENT) & ~ends[..., None], output, allowed.long().argmax(-1))
    allowed = allowed.scatter(-1, codes[..., None], True)
    unsaid = ends & ~(allowed[..., -1] & (output != ABSENT)).any(-1)
    allowed[..., -1] |= unsaid[..., None]
    return allowed


def distributions(generator: SignGenerator, samples: Samples) -> Tensor:
    """[N, R, S, P, V + 1] log-probabilities of what each head may say at each step of the samples, teacher-forced,
    with gradients; V the largest stream, the last column the end. Without dropout, as the samples were drawn."""
    scores = (_legal(generator, samples) / samples.search.temperature).log_softmax(-1)
    if samples.allowed is None:
        return scores
    return scores.masked_fill(~samples.allowed, -torch.inf).log_softmax(-1)


def log_probabilities(scores: Tensor, output: Tensor, end: Tensor) -> Tensor:
    """[N, R, S] log-probability of each decoder step of the outputs, zero where none was taken.

    A step is the codes of all heads that are read, which are drawn independently of each other, or the end, which is
    said when any of them says it: what the others would have said is lost.

    scores: what `distributions` gave
    output: [N, R, S, P]
    end:    [P] how each stream's end is written
    """
    active, ends = output != ABSENT, (output == end).any(-1)
    codes = scores.gather(-1, output.clamp(0, scores.shape[-1] - 1)[..., None])[..., 0]
    steps = torch.where(active & ~ends[..., None], codes, 0.0).sum(-1)
    return steps.masked_scatter(ends, _any_end(scores[ends], active[ends]))


def _any_end(scores: Tensor, active: Tensor) -> Tensor:
    """[M] log-probability that at least one of the active heads [M, P] says end; scores [M, P, V + 1].

    The sum over heads of: this one says it, and none before it; exact for small probabilities, too.
    """
    going_on = torch.where(active, scores[..., :-1].logsumexp(-1), 0.0)
    ends = torch.where(active, scores[..., -1], -torch.inf)
    return (ends + going_on.cumsum(-1) - going_on).logsumexp(-1)


def _legal(generator: SignGenerator, samples: Samples) -> Tensor:
    """[N, R, S, P, V + 1] logits, -inf for what may not be said."""
    output, scheme, search = samples.output, generator.scheme, samples.search
    before = torch.nn.functional.pad(output[:, :, :-1], (0, 0, 1, 0), value=ABSENT)
    before = torch.where(before == scheme.end.to(output.device), ABSENT, before)
    texts, languages = [clip.text for clip in samples.clips], [clip.language for clip in samples.clips]
    with evaluating(generator):
        hidden = generator.hidden(texts, languages, before, samples.clips)
    logits = generator.heads.padded(hidden, generator.heads.matrix(generator.mbart.shared.weight))
    steps = torch.arange(output.shape[2])
    barred = bars(scheme, logits.shape[-1])[(steps >= search.min_steps * scheme.period).long(), steps % scheme.period]
    return logits + barred.transpose(0, 1).to(logits.device)
