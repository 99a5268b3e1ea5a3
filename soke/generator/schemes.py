"""Decoding schemes: how P streams of codes become decoder steps, and back. The order of decoding is data, not code."""
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

ABSENT = -1  # in `Steps.inputs`: this part feeds nothing into this step
IGNORE = -100  # in `Steps.targets`: this part is not asked at this step


@dataclass(frozen=True)
class Steps:
    """What the decoder reads and should say at each of S steps; step 0 reads only the language token.

    inputs:  [B, S, P] codes fed into the step, or ABSENT
    targets: [B, S, P] code that each part's head should say, `end` of the part's codebook, or IGNORE
    """

    inputs: Tensor
    targets: Tensor


class DecodingScheme(ABC):
    """codebooks: codes of each part; the end of part p is written `codebooks[p]`, one past its last code."""

    def __init__(self, codebooks: list[int]):
        self.codebooks = list(codebooks)
        self.end = torch.tensor(self.codebooks)  # [P]

    @abstractmethod
    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        """Codes [B, K, P] and their lengths [B] -> decoder steps."""

    @abstractmethod
    def asked(self, step: int) -> Tensor:
        """[P] bool: the parts whose heads are read at this step."""

    @abstractmethod
    def revert(self, said: Tensor) -> Tensor:
        """What the heads of one sample said [S, P], up to and with the step that ended it -> codes [K, P]."""


class MultiHead(DecodingScheme):
    """One step per time step: all parts in, fused; all parts out, a head each (SOKE, section 3.3)."""

    def build(self, codes: Tensor, lengths: Tensor) -> Steps:
        batch, steps, parts = codes.shape
        end = self.end.to(codes.device)
        time = torch.arange(steps + 1, device=codes.device)[None, :, None]
        length = lengths.to(codes.device)[:, None, None]
        first = codes.new_full((batch, 1, parts), ABSENT)
        inputs = torch.where(time > length, ABSENT, torch.cat([first, codes], dim=1))
        targets = torch.cat([codes, first], dim=1)
        targets = torch.where(time == length, end, torch.where(time > length, IGNORE, targets))
        return Steps(inputs, targets)

    def asked(self, step: int) -> Tensor:
        return torch.ones(len(self.codebooks), dtype=torch.bool)

    def revert(self, said: Tensor) -> Tensor:
        ended = (said == self.end.to(said.device)).any(dim=1)
        return said[: int(ended.nonzero()[0])] if ended.any() else said


SCHEMES: dict[str, type[DecodingScheme]] = {"multi_head": MultiHead}
