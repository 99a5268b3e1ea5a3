"""The processes that train together: how many there are, and what they tell each other. Alone, one hears itself.

What has "all" in its name must be called by every process, in the same order.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import torch
from torch import Tensor, distributed

from soke.errors import UserError

_Made = TypeVar("_Made")


def count() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if count() > 1 else 0


def sum_over_all(values: Tensor) -> Tensor:
    """`values`, which become the sum of those of all processes, in place."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


def mean_over_all(counts: Tensor) -> Tensor:
    """[...] what each process has counted -> the mean over the processes.

    Sums that are divided by it are a loss whose gradient, averaged over the processes, is that of one process that has
    all that they have.
    """
    return counts if count() == 1 else (sum_over_all(counts.double()) / count()).float()


def share(counts: Tensor) -> Tensor | float:
    """[...] what each process has counted -> how much that is of the mean over the processes, 1 where one is alone: by it
    a mean over what was counted becomes a loss as `mean_over_all` makes it."""
    return 1.0 if count() == 1 else counts / mean_over_all(counts).clamp(min=1e-9)


def rows_of_all(row: Tensor) -> Tensor:
    """[...] -> [processes, ...]"""
    rows = row.new_zeros(count(), *row.shape)
    rows[rank()] = row
    return sum_over_all(rows)


def tensors_of_all(tensor: Tensor) -> list[Tensor]:
    """[N, ...], of which each process may have another N -> those of all, process by process."""
    if count() == 1:
        return [tensor]
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
        """The items of all processes, process by process. Every process must call it. Raises UserError where another one
        has ended."""
        if self.size == 1:
            return list(items)
        try:
            return items_of_all(items)
        except RuntimeError as error:  # gloo's, when a connection is closed or nobody answers
            raise UserError(
                "another process of this command has ended, and says why if it could: run the command again, what is "
                "done is kept"
            ) from error

    def of_each(self, make: Callable[[], _Made]) -> list[_Made]:
        """What `make` gives each process, process by process. Every process must call it; what a UserError of one of them
        says is raised in all."""
        if self.size == 1:
            return [make()]
        try:
            own = make(), ""
        except UserError as error:
            own = None, str(error)
        everyone = self.gathered([own])
        for _, message in everyone:
            if message:
                raise UserError(message)
        return [made for made, _ in everyone]

    def of_first(self, make: Callable[[], _Made]) -> _Made:
        """What `make` gives the first process, which alone calls it. Else as `of_each`."""
        return self.of_each(make if self.rank == 0 else lambda: None)[0]
