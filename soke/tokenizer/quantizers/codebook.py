"""What quantizers with a codebook share: the nearest vector, and latents of all processes to start or restart at."""
from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soke.run import processes
from soke.tokenizer.quantizers.base import Quantized, distance, float32, rows, valid_rows

log = logging.getLogger(__name__)

MIN_COUNT = 1.0  # a code chosen fewer times than this per batch (running mean) is dead


class CodebookQuantizer(nn.Module):
    """Nearest vector of a codebook that the first training batch fills with latents.

    Only valid steps count in training, and of them only finite latents; the first that are not are logged. A batch with
    none changes nothing. Random choices are seeded by the number of updates, so that a resumed run makes the same ones.
    With torch.distributed, the latents of all processes are one batch.
    """

    commits = True

    codebook: Tensor  # [num_codes, dim]
    counts: Tensor  # [num_codes] moving number of latents per batch that chose each code
    updates: Tensor  # [] training batches learnt from

    def __init__(self, num_codes: int, dim: int, decay: float):
        super().__init__()
        self.num_codes, self.dim, self.decay = num_codes, dim, decay
        self._warned = False
        self._begun = -1  # updates at which a new training begins from this codebook

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.num_codes,)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantized:
        steps = latents.shape[0], latents.shape[2]
        with float32(latents) as latents:
            flat, valid = rows(latents), valid_rows(mask)
            latents = flat[valid]  # [N, D]
            clips = torch.arange(steps[0], device=flat.device).repeat_interleave(steps[1])[valid]
            finite, picked, updates = self._look(latents, clips, steps[0]) if self.training else (None, None, 0)
            if picked is not None:
                self._prepare(picked, not updates)
            codes = self._nearest(flat)
            vectors = self.codebook[codes]
            commitment, loss = distance(latents, vectors[valid].detach()), self._loss(vectors[valid], latents.detach())
            if picked is not None:
                self._learn(latents.detach()[finite], codes[valid][finite], picked)
                self._begun = -1
            passed = flat + (vectors - flat).detach()
            vectors, passed = (v.view(*steps, self.dim).transpose(1, 2) for v in (vectors.detach(), passed))
            return Quantized(codes.view(*steps, 1), vectors, passed, commitment, loss)

    def go_on(self) -> None:
        """A new training begins from this codebook. Its first batch tells how often each code is chosen, which depends
        on the batches; a code that it does not choose has about 1 / (1 - decay) batches more before it restarts."""
        self._begun = int(self.updates)

    def restarting(self) -> int:
        """How many codes restart with every batch, because they are chosen less than once in one; 0 before 1 / (1 - decay)
        batches, after which the counts can tell."""
        told = int(self.updates) * (1 - self.decay) >= 1
        return int((self.counts <= MIN_COUNT).sum()) if told else 0

    def _goes_on(self) -> bool:
        """Whether the batch is the first after `go_on`; not in a run that continues later."""
        return self._begun >= 0 and int(self.updates) == self._begun

    def _begin_counts(self, counts: Tensor) -> None:
        """counts: [num_codes] of the first batch after `go_on`, of all processes"""
        self.counts.copy_(counts.clamp_min(math.e * MIN_COUNT))  # which decays to MIN_COUNT in -1 / log(decay) batches

    def _prepare(self, picked: Tensor, first: bool) -> None:
        """Before the codes of a training batch are chosen, perhaps the first one. picked [num_codes, D]: where codes start
        or restart"""
        raise NotImplementedError

    def _learn(self, latents: Tensor, codes: Tensor, picked: Tensor) -> None:
        """From a training batch's latents [N, D] and the codes [N] that they chose; picked as in `_prepare`."""
        raise NotImplementedError

    def _loss(self, vectors: Tensor, latents: Tensor) -> Tensor:
        """[N, D], [N, D] -> [], see `Quantized`."""
        raise NotImplementedError

    def encode(self, latents: Tensor) -> Tensor:
        with float32(latents) as latents:
            return self._nearest(latents.transpose(1, 2))[..., None]

    def decode(self, codes: Tensor) -> Tensor:
        return self.codebook[codes[..., 0]].transpose(1, 2)

    @torch.no_grad()
    def _nearest(self, vectors: Tensor) -> Tensor:
        """[..., D] -> [...]; |c|^2 - 2 x.c orders the codes as |x - c|^2 does."""
        return (self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T).argmin(-1)

    @torch.no_grad()
    def _look(self, latents: Tensor, clips: Tensor, batch: int) -> tuple[slice | Tensor, Tensor | None, int]:
        """[N, D] and the clips [N] of a batch of so many that they are of, in their order -> indices [F] of the finite
        ones, `_pick` of them, None when no process has any, and `updates`. The device is waited for once."""
        finite = latents.isfinite().all(1)
        sizes = torch.stack([finite, torch.ones_like(finite)], dim=1).long()
        counts = sizes.new_zeros(batch, 2).index_add(0, clips, sizes)
        of_all = pad_sequence(processes.tensors_of_all(counts))  # [B, processes, 2]
        found, all_, updates = torch.cat([of_all.sum((0, 1)), self.updates[None]]).tolist()
        if found != all_ and not self._warned:
            self._warned = True
            if processes.rank() == 0:
                log.warning(
                    "%d of %d latents of a training batch are infinite or not a number: the codebooks are not trained "
                    "on such latents", all_ - found, all_,
                )
        chosen = slice(None) if found == all_ else finite.nonzero().squeeze(1)
        if not found:
            return chosen, None, updates
        before = (of_all[..., 0].flatten().cumsum(0).view(of_all.shape[:2]) - of_all[..., 0])[:, processes.rank()]
        own, clips = counts[:, 0], clips[chosen]
        within = torch.arange(len(clips), device=clips.device) - (own.cumsum(0) - own)[clips]
        return chosen, self._pick(latents[chosen], before[clips] + within, found, updates), updates

    def _pick(self, latents: Tensor, places: Tensor, total: int, updates: int) -> Tensor:
        """[N, D] -> [num_codes, D] random ones of the `total` latents of all processes, among which these have the places
        [N]: the processes' first clips come first, as in a batch that was dealt out to them; when there are fewer than
        num_codes, repeated with a little noise."""
        generator = torch.Generator().manual_seed(updates)
        order = torch.randperm(total, generator=generator)
        order = order[torch.arange(self.num_codes) % total].to(latents.device)
        numbers = torch.arange(len(places), device=latents.device)
        own = torch.full((total,), -1, device=latents.device).scatter(0, places, numbers)[order]
        picked = nn.functional.pad(latents, (0, 0, 0, 1))[own]  # number -1 is the zeros behind them: another process has it
        processes.sum_over_all(picked)
        if total < self.num_codes:
            noise = torch.randn(self.num_codes, self.dim, generator=generator)
            picked = picked + noise.to(picked) * (0.01 / math.sqrt(self.dim))
        return picked
