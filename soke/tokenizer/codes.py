"""Codes: what a tokenizer makes of motions, and motions are made of."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke.data.dataset import PADDING_CODE


@dataclass(frozen=True)
class Codes:
    """The codes of B clips in S streams. Raises ValueError when values and lengths do not belong together.

    values:  [B, K, S] long, -1 from a clip's length on
    lengths: [B] long, token steps
    """

    values: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.lengths.shape != self.values.shape[:1]:
            raise ValueError(
                f"codes must be [B, K, S] and their lengths [B], not {list(self.values.shape)} and "
                f"{list(self.lengths.shape)}"
            )

    def __len__(self) -> int:
        """B."""
        return len(self.values)

    @classmethod
    def of(cls, clips: Sequence[Tensor], device: torch.device | str | None = None) -> Codes:
        """A batch of the codes [K_i, S] of at least one clip."""
        moved = [codes.to(device) for codes in clips]
        values = pad_sequence(moved, batch_first=True, padding_value=PADDING_CODE)
        return cls(values, torch.tensor([len(codes) for codes in moved], device=values.device))

    def clips(self) -> list[Tensor]:
        """The codes [K_i, S] of every clip, without padding."""
        return [row[:steps] for row, steps in zip(self.values, self.lengths.tolist())]


def module_name(stream: str) -> str:
    """The name of a stream's own submodule; torch has no dots in such names."""
    return stream.replace(".", "/")
