"""The processes that train together: how many there are, and what they tell each other. Alone, one hears itself.

What has "all" in its name must be called by every process, in the same order.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


def count() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if count() > 1 else 0


def sum_over_all(values: Tensor) -> Tensor:
    """`values`, which become the sum of those of all processes, in place."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


def rows_of_all(row: Tensor) -> Tensor:
    """[...] -> [processes, ...]"""
    rows = row.new_zeros(count(), *row.shape)
    rows[rank()] = row
    return sum_over_all(rows)


def tensors_of_all(tensor: Tensor) -> list[Tensor]:
    """[N, ...], of which each process may have another N -> those of all, process by process."""
    sizes = rows_of_all(torch.tensor(len(tensor), device=tensor.device)).tolist()
    rows = tensor.new_zeros(max(sizes), *tensor.shape[1:])
    rows[: len(tensor)] = tensor
    return [row[:size] for row, size in zip(rows_of_all(rows), sizes)]


def items_of_all(items: Sequence[Any]) -> list[Any]:
    """The items of all processes, process by process."""
    everyone: list[Any] = [list(items)] * count()
    if count() > 1:
        distributed.all_gather_object(everyone, list(items))
    return [item for of_one in everyone for item in of_one]


def first_to_all(tensors: Iterable[Tensor]) -> None:
    """`tensors` become those of process 0, in place."""
    if count() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)


@dataclass(frozen=True)
class World:
    """The processes that test together, and which of them this is; by default there is one.

    rank: of this process
    size: number of processes
    """

    rank: int = 0
    size: int = 1

    def own(self, items: Sequence[Any]) -> list[Any]:
        """Those of the items that this process works on; the processes together have each of them once."""
        return list(items[self.rank :: self.size])

    def gathered(self, items: Sequence[Any]) -> list[Any]:
        """The items of all processes, process by process. Every process must call it."""
        return items_of_all(items) if self.size > 1 else list(items)
