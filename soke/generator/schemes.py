"""Decoding schemes: how P streams of codes become decoder steps, and back. The order of decoding is data, not code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

ABSENT = -1  # in `Steps.inputs`: this stream feeds nothing into this step; in what heads output: it was not active
IGNORE = -100  # in `Steps.targets`: this stream is not active at this step


@dataclass(frozen=True)
class Steps:
    """What the decoder reads and should say at each of S steps, in R rows per sample that do not see each other.

    Step 0 reads only the row's language token.

    inputs:  [B, R, S, P] codes fed into the step, or ABSENT
    targets: [B, R, S, P] code that each stream's head should say, `end` of the stream, or IGNORE
    """

    inputs: Tensor
    targets: Tensor


class DecodingScheme(ABC):
    """sizes: codes of each of P streams; the end of stream p is written `sizes[p]`, one past its last code.

    rows:    R, decoder rows per sample
    period:  decoder steps per time step
    active:  [period, R, P] bool, the heads that are read at step s: active[s % period]
    may_end: [period, R, P] bool, the heads among them that may say end
    """

    rows: int
    period: int
    active: Tensor
    may_end: Tensor

    def __init__(self, sizes: list[int]):
        self.sizes = list(sizes)
        self.end = torch.tensor(self.sizes)  # [P]

    @abstractmethod
    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        """Codes [B, K, P] and their lengths [B] -> decoder steps."""

    @abstractmethod
    def revert(self, output: Tensor) -> Tensor:
        """What the heads of one sample output [R, S, P], ABSENT where they were not active -> codes [K, P].

        A row counts up to the first step at which any of its heads says end.
        """

    def _before_end(self, output: Tensor) -> list[Tensor]:
        """Each row of [R, S, P] up to its end."""
        ended = (output == self.end.to(output.device)).any(-1)  # [R, S]
        steps = output.shape[1]
        counts = torch.where(ended.any(1), ended.int().argmax(1), steps) if steps else [0] * len(output)
        return [row[: int(count)] for row, count in zip(output, counts)]


class MultiHead(DecodingScheme):
    """One step per time step: all streams in, fused; all streams out, a head each (SOKE, section 3.3)."""

    rows = period = 1

    def __init__(self, sizes: list[int]):
        super().__init__(sizes)
        self.active = self.may_end = torch.ones(1, 1, len(sizes), dtype=torch.bool)

    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        inputs, targets = _shifted(codes, lengths, self.end)
        return Steps(inputs[:, None], targets[:, None])

    def revert(self, output: Tensor) -> Tensor:
        return self._before_end(output)[0]


class Sequential(DecodingScheme):
    """P steps per time step: the streams in turn, each step reading the code output before (SOKE, table 2)."""

    rows = 1

    def __init__(self, sizes: list[int]):
        super().__init__(sizes)
        self.period = len(sizes)
        self.active = torch.eye(self.period, dtype=torch.bool)[:, None]
        self.may_end = self.active.clone()
        self.may_end[1:] = False  # a time step that was begun is finished

    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        batch, steps, streams = codes.shape
        flat, count = codes.reshape(batch, -1), steps * streams
        step = torch.arange(count, device=codes.device)
        inputs = codes.new_full((batch, count + 1, streams), ABSENT)
        targets = codes.new_full((batch, count + 1, streams), IGNORE)
        inputs[:, step + 1, step % streams] = flat
        targets[:, step, step % streams] = flat
        place = torch.arange(count + 1, device=codes.device)[None, :, None]
        last = (lengths.to(codes.device) * streams)[:, None, None]
        inputs = torch.where(place > last, ABSENT, inputs)
        targets = torch.where(place >= last, IGNORE, targets)
        targets[..., 0] = torch.where((place == last)[..., 0], int(self.end[0]), targets[..., 0])
        return Steps(inputs[:, None], targets[:, None])

    def revert(self, output: Tensor) -> Tensor:
        (row,) = self._before_end(output)
        time = len(row) // self.period
        return row[: time * self.period].reshape(time, self.period, self.period).diagonal(dim1=1, dim2=2)


class Parallel(DecodingScheme):
    """P rows per sample, one stream each, from language tokens of their own; they know nothing of each other (SOKE,
    table 2). Each ends by itself; the shorter streams then hold their last code."""

    period = 1

    def __init__(self, sizes: list[int]):
        super().__init__(sizes)
        self.rows = len(sizes)
        self.active = self.may_end = torch.eye(self.rows, dtype=torch.bool)[None]

    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        inputs, targets = (steps[:, None] for steps in _shifted(codes, lengths, self.end))
        own = self.active[0].to(codes.device)[None, :, None]  # [1, R, 1, P]
        return Steps(torch.where(own, inputs, ABSENT), torch.where(own, targets, IGNORE))

    def revert(self, output: Tensor) -> Tensor:
        spoken = [row[:, stream] for stream, row in enumerate(self._before_end(output))]
        longest = max(map(len, spoken))
        if longest and not all(map(len, spoken)):
            raise ValueError("a stream has output nothing while another has: only empty ones have no last code to hold")
        return torch.stack([torch.cat([s, s[-1:].expand(longest - len(s))]) for s in spoken], dim=1)


def _shifted(codes: Tensor, lengths: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Codes [B, K, P] -> inputs and targets [B, K + 1, P] of next-step prediction, all streams at once."""
    batch, steps, streams = codes.shape
    time = torch.arange(steps + 1, device=codes.device)[None, :, None]
    length = lengths.to(codes.device)[:, None, None]
    first = codes.new_full((batch, 1, streams), ABSENT)
    inputs = torch.where(time > length, ABSENT, torch.cat([first, codes], dim=1))
    targets = torch.cat([codes, first], dim=1)
    return inputs, torch.where(time == length, end.to(codes), torch.where(time > length, IGNORE, targets))


SCHEMES: dict[str, type[DecodingScheme]] = {"multi_head": MultiHead, "sequential": Sequential, "parallel": Parallel}
