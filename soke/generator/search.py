"""Search: what is chosen from the heads' scores at each decoder step. Greedy, sampling, beam search over all streams.

Everywhere: B samples; G rows of the decoder per sample (the scheme's rows R times `beams`); N = B * G; P streams; V the
largest codebook. Scores are [N, P, V + 1], the last column the end, -inf where nothing may be output.
"""

from __future__ import annotations

import hashlib
from typing import Sequence

import torch
from torch import Tensor

from soke.generator.decoder import rows_of
from soke.generator.schemes import ABSENT, DecodingScheme
from soke.generator.settings import Search
from soke.text.locales import canonical
from soke.text.spelling import spelled

_SHRINK_AT = 0.75  # samples leave the batch when so few are left that copying the caches pays


def best_joint(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best choices of one code per stream by the sum of their scores.

    scores: [N, P, V]. Returns values [N, count], best first, and codes [N, count, P]. Streams are joined one after the
    other; what is not among the best of the streams so far cannot be among the best of all.
    """
    if count == 1:
        best = scores.max(-1)
        return best.values.sum(1, keepdim=True), best.indices[:, None]
    count = min(count, scores.shape[2] ** scores.shape[1])
    values, codes = scores[:, 0].topk(min(count, scores.shape[2]))
    codes = codes[..., None]
    for stream in range(1, scores.shape[1]):
        more, added = scores[:, stream].topk(min(count, scores.shape[2]))
        sums = (values[:, :, None] + more[:, None]).flatten(1)
        values, index = sums.topk(min(count, sums.shape[1]))
        left, right = index // more.shape[1], index % more.shape[1]
        kept = codes.gather(1, left[..., None].expand(-1, -1, codes.shape[2]))
        codes = torch.cat([kept, added.gather(1, right)[..., None]], dim=2)
    return values, codes


def filtered(scores: Tensor, search: Search) -> Tensor:
    """Log-probabilities [..., V + 1] at the search's temperature, -inf for what top-k and top-p leave out."""
    scores = torch.log_softmax(scores / search.temperature, dim=-1)
    if search.top_k:
        least = scores.topk(min(search.top_k, scores.shape[-1])).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if search.top_p < 1:
        ordered, order = scores.softmax(-1).sort(descending=True, dim=-1)
        beyond = ordered.cumsum(-1) - ordered >= search.top_p  # the one that crosses the limit stays
        scores = scores.masked_fill(beyond.gather(-1, order.argsort(-1)), -torch.inf)
    return scores


def bars(scheme: DecodingScheme, width: int) -> Tensor:
    """What is added to scores before `min_steps` token steps, and after them: [2, period, R, P, V + 1], -inf where no
    end may be said.

    width: V + 1
    """
    barred = torch.zeros(2, *scheme.may_end.shape, width)
    barred[0, ..., -1] = -torch.inf
    barred[1, ..., -1].masked_fill_(~scheme.may_end, -torch.inf)
    return barred


class Decision:
    """The state of one search over a batch: what was output, and who is done.

    search, scheme: how
    sentences: B triples of seed, text and language, which seed sampling
    width:     V + 1
    steps:     most decoder steps
    """

    def __init__(
        self, search: Search, scheme: DecodingScheme, sentences: Sequence[tuple[int, str, str]], width: int, steps: int,
        device: torch.device,
    ):
        self.search, self.scheme = search, scheme
        self.batch, self.beams = len(sentences), search.hypotheses
        self.group, self.streams = scheme.rows * self.beams, len(scheme.sizes)
        rows = self.batch * self.group
        self.output = torch.full((rows, steps, self.streams), ABSENT, device=device)
        active, barred = scheme.active.repeat_interleave(self.beams, 1), bars(scheme, width)
        self.active, self.all_active = active.to(device), bool(active.all())  # [period, G, P]
        silent = torch.full((width,), -torch.inf)
        silent[0] = 0.0
        self.barred, self.silent = barred.repeat_interleave(self.beams, 2).to(device), silent.to(device)
        self.end = scheme.end.to(device)
        self.noise = None
        if search.method == "sample":
            shape = (steps, self.group, self.streams, width)
            draws = [torch.rand(shape, generator=_generator(*sentence)) for sentence in sentences]
            self.noise = -torch.log(-torch.log(torch.stack(draws).clamp_(1e-20, 1 - 1e-7))).to(device)  # Gumbel's

    def legal(self, logits: Tensor, step: int) -> Tensor:
        """Logits [N, P, V + 1] -> log-probabilities of what may be output.

        A stream that is not active has one choice of probability 1, column 0, which counts as ABSENT.
        """
        phase = step % self.scheme.period
        barred = self.barred[int(step >= self.search.min_steps * self.scheme.period), phase]
        scores = logits.unflatten(0, (-1, self.group)) + barred  # [B, G, P, V + 1]
        if self.noise is not None:
            scores = filtered(scores, self.search) + self.noise[:, step]
        else:
            scores = torch.log_softmax(scores, dim=-1)
        if not self.all_active:
            scores = torch.where(self.active[phase][..., None], scores, self.silent)
        return scores.flatten(0, 1)

    def candidates(self, scores: Tensor, step: int, count: int) -> tuple[Tensor, Tensor]:
        """Values [N, count + 1] and codes [N, count, P] of the best choices of codes; last among the values the end.

        The end is the best choice in which at least one stream says end: what others say then is lost, so all
        such choices are one.
        """
        codes_only, ends = scores[..., :-1], scores[..., -1]
        banned = self._banned(step)
        extra = int(banned[0].sum(1).max()) if banned is not None else 0
        values, codes = best_joint(codes_only, count + extra)
        best = codes_only.amax(-1)
        either = torch.maximum(best, ends)
        others = either.sum(1, keepdim=True) - either
        finish = (ends + others).amax(1, keepdim=True)
        if banned is not None:
            hit, follow = banned  # [N, J], [N, J, P]
            output = torch.where(self._active_rows(step)[:, None], codes, ABSENT)
            bad = ((output[:, :, None] == follow[:, None]).all(-1) & hit[:, None]).any(-1)
            values, order = values.masked_fill(bad, -torch.inf).topk(min(count, values.shape[1]))
            codes = codes.gather(1, order[..., None].expand(-1, -1, self.streams))
        return torch.cat([values, finish], dim=1), codes

    def _active_rows(self, step: int) -> Tensor:
        """[N, P]"""
        return self.active[step % self.scheme.period].repeat(len(self.output) // self.group, 1)

    def _banned(self, step: int) -> tuple[Tensor, Tensor] | None:
        """Which earlier steps followed what the last steps say again [N, J], and what was output there [N, J, P]."""
        before = self.search.no_repeat * self.scheme.period - 1
        if not self.search.no_repeat or step < before + 1:
            return None
        windows = self.output[:, :step].unfold(1, before, 1)[:, :-1]  # [N, J, P, before]
        again = self.output[:, step - before : step].transpose(1, 2)[:, None]
        return (windows == again).flatten(2).all(-1), self.output[:, before:step]

    def keep(self, samples: Tensor) -> None:
        """Goes on with these samples only."""
        self.output = rows_of(self.output, samples, self.group)
        self.noise = None if self.noise is None else self.noise[samples]


class Stepwise(Decision):
    """Greedy and sampling: the best choice of every step; for sampling, of scores with Gumbel noise."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.ended = torch.zeros(len(self.output), dtype=torch.bool, device=self.output.device)

    def advance(self, logits: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """Codes [N, P] that the next step reads, and no parents, for every row goes on from itself."""
        values, codes = self.candidates(self.legal(logits, step), step, 1)
        active = self._active_rows(step)
        ends = values[:, -1] > values[:, :-1].amax(1)
        codes = torch.where(active, codes[:, 0], ABSENT)
        output = torch.where(ends[:, None], torch.where(active, self.end, ABSENT), codes)
        self.output[:, step] = torch.where(self.ended[:, None], ABSENT, output)
        self.ended |= ends
        return codes.masked_fill(self.ended[:, None], ABSENT), None

    @property
    def done(self) -> Tensor:
        """[B] bool"""
        return self.ended.view(-1, self.group).all(1)

    def keep(self, samples: Tensor) -> None:
        self.ended = rows_of(self.ended, samples, self.group)
        super().keep(samples)

    def results(self, step: int) -> Tensor:
        """[B, R, S, P] what was output so far."""
        return self.output.unflatten(0, (-1, self.group))


class Beams(Decision):
    """Beam search over the joint log-probability of all streams; of one beam, it is greedy.

    A hypothesis that ends leaves the beam. A row is done when as many have ended as there are beams.
    """

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        heads = self.batch * self.scheme.rows
        device = self.output.device
        self.scores = torch.full((heads, self.beams), -torch.inf, device=device)
        self.scores[:, 0] = 0.0
        self.finished = torch.zeros(heads, dtype=torch.int64, device=device)
        self.best = torch.full((heads,), -torch.inf, device=device)
        self.best_output = torch.full_like(self.output[: heads], ABSENT)

    def advance(self, logits: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """Codes [N, P] that the next step reads, and the row [N] that each row goes on from."""
        beams = self.beams
        values, codes = self.candidates(self.legal(logits, step), step, beams)
        per_hypothesis = values.shape[1]
        totals = (self.scores.flatten()[:, None] + values).view(-1, beams * per_hypothesis)
        best, index = totals.topk(min(2 * beams, totals.shape[1]))  # [heads, 2 * beams]
        parent, choice = index // per_hypothesis, index % per_hypothesis
        ends = choice == per_hypothesis - 1

        rank = torch.arange(best.shape[1], device=best.device)
        leaving = ends & (rank < beams) & best.isfinite() & ~self._done_heads[:, None]
        final = torch.where(leaving, best / self._length(step), -torch.inf)
        top, which = final.max(1)
        better = top > self.best
        row = torch.arange(len(best), device=best.device) * beams + parent.gather(1, which[:, None])[:, 0]
        ending = self.output[row].clone()
        ending[:, step] = torch.where(self._active_rows(step)[row], self.end, ABSENT)
        self.best = torch.where(better, top, self.best)
        self.best_output = torch.where(better[:, None, None], ending, self.best_output)
        self.finished += leaving.sum(1)

        staying = ends.to(torch.int8).sort(dim=1, stable=True).indices[:, :beams]  # those that do not end, in order
        alive = torch.where(ends, -torch.inf, best).gather(1, staying)
        parent, choice = parent.gather(1, staying), choice.gather(1, staying).clamp_max(per_hypothesis - 2)
        parents = (torch.arange(len(best), device=best.device)[:, None] * beams + parent).flatten()
        chosen = codes[parents, choice.flatten()]
        self.scores = alive
        self.output = self.output[parents]
        real = self._active_rows(step) & alive.flatten().isfinite()[:, None]
        codes = torch.where(real, chosen, ABSENT)
        self.output[:, step] = codes
        return codes, parents

    def _length(self, step: int) -> float:
        return (step + 1) ** self.search.length_penalty

    @property
    def _done_heads(self) -> Tensor:
        return self.finished >= self.beams

    @property
    def done(self) -> Tensor:
        """[B] bool"""
        return self._done_heads.view(-1, self.scheme.rows).all(1)

    def keep(self, samples: Tensor) -> None:
        for name in ("scores", "finished", "best", "best_output"):
            setattr(self, name, rows_of(getattr(self, name), samples, self.scheme.rows))
        super().keep(samples)

    def results(self, step: int) -> Tensor:
        """[B, R, S, P] the best hypothesis of each row, those that have not ended after `step` steps among them."""
        alive, which = (self.scores / self._length(step - 1)).max(1)
        open_output = self.output[torch.arange(len(which), device=which.device) * self.beams + which]
        open_wins = ~self._done_heads & (alive > self.best)
        return torch.where(open_wins[:, None, None], open_output, self.best_output).unflatten(0, (-1, self.scheme.rows))


def decision(search: Search, *args, **settings) -> Stepwise | Beams:
    return (Beams if search.method == "beam" else Stepwise)(search, *args, **settings)


def going_on(done: Sequence[bool], whole_powers: bool) -> list[int]:
    """The samples that the decoder goes on with: all, while many are not done; else those that are not.

    whole_powers: their number is a power of two, filled up with samples that are done, so that few shapes are compiled
    """
    open_ones = [index for index, is_done in enumerate(done) if not is_done]
    count = len(open_ones)
    if whole_powers and count:
        count = min(1 << (count - 1).bit_length(), len(done))
    if count > _SHRINK_AT * len(done):
        return list(range(len(done)))
    fillers = [index for index, is_done in enumerate(done) if is_done][: count - len(open_ones)]
    return sorted([*open_ones, *fillers])


def _generator(seed: int, text: str, language: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}\n{canonical(language)}\n{spelled(text)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
