"""Heads: from the decoder's hidden state to scores of each stream's codes and of the end."""

from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor, nn

from soke.tokenizer.codes import module_name


class Heads(nn.Module):
    """S heads over their own codes only.

    Separate heads are a linear layer each (SOKE, section 3.3; M3T). Tied ones score with the rows of the language
    model's embedding table, as one language-model head does whose other entries are masked out for each stream; they
    share the end, which is then mBART's own.

    streams:   name -> number of codes
    width:     D, size of the hidden state
    tied:      ids [size + 1] of each stream's codes and of the end in the embedding table, or None: separate heads
    """

    def __init__(self, streams: Mapping[str, int], width: int, tied: list[Tensor] | None = None):
        super().__init__()
        self.streams = dict(streams)
        self.separate = tied is None
        if tied is None:
            self.linear = nn.ModuleDict({module_name(s): nn.Linear(width, size + 1) for s, size in streams.items()})
        else:
            self.register_buffer("ids", torch.cat(tied), persistent=False)
        sizes = [size + 1 for size in self.streams.values()]
        widest, first, total = max(sizes), 0, sum(sizes)
        columns = []  # of the scores of all heads side by side, and the column after them, which scores -inf
        for size in sizes:
            own = torch.arange(first, first + size)
            columns.append(torch.cat([own[:-1], own.new_full((widest - size,), total), own[-1:]]))
            first += size
        self.register_buffer("columns", torch.stack(columns), persistent=False)  # [S, V + 1]

    def matrix(self, table: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights [sum of sizes, D] and bias of all heads. table: the embedding table [vocabulary, D]."""
        if not self.separate:
            return table[self.ids], None
        layers = list(self.linear.values())
        return torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])

    def forward(self, hidden: Tensor, table: Tensor) -> dict[str, Tensor]:
        """Hidden states [..., D] -> stream -> logits [..., size + 1] in float32; the last column is the end."""
        logits = nn.functional.linear(hidden, *self.matrix(table)).float()
        return dict(zip(self.streams, logits.split([size + 1 for size in self.streams.values()], dim=-1)))

    def padded(self, hidden: Tensor, matrix: tuple[Tensor, Tensor | None]) -> Tensor:
        """Hidden states [..., D] and what `matrix` gave -> logits [..., S, V + 1] in float32, V the largest stream.

        The last column is the end; columns without a code hold -inf.
        """
        logits = nn.functional.pad(nn.functional.linear(hidden, *matrix).float(), (0, 1), value=-torch.inf)
        return logits[..., self.columns]
