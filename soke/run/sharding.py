"""Models that are divided among processes (FSDP): each has a part of every weight, gradient and state of the optimiser.

What works on all of a divided model must be called by every process, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from soke.run import processes


def divide(
    model: nn.Module, layers: Sequence[nn.Module], methods: Sequence[str], device: torch.device,
    shared: Sequence[object] = (),
) -> nn.Module:
    """Divides the weights of `model` among the processes, which then have those of the first.

    layers:  of the model, each of which is put together by itself when it computes, and forgotten again; what lies
             outside of them is together as long as the model computes
    methods: of the model that compute with its weights, besides `forward`
    device:  of this process
    shared:  what of the model needs no copy

    Returns its twin, an undivided copy whose weights hold nothing until `fill` or `filled`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    model.to(device)
    with torch.no_grad():
        processes.first_to_all([*model.parameters(), *model.buffers()])
    empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()}
    twin = deepcopy(model, empty | {id(part): part for part in shared})
    mesh = init_device_mesh(device.type, (processes.count(),))
    for part in (*layers, model):
        fully_shard(part, mesh=mesh)
    for method in methods:
        register_fsdp_forward_method(model, method)
    return twin


@torch.no_grad()
def fill(twin: nn.Module, model: nn.Module) -> None:
    """Gives the twin of a divided model all of its weights, in every process."""
    gathered: dict[nn.Parameter, nn.Parameter] = {}  # what several modules share stays one
    for (path, _), (_, divided) in zip(_weights(twin), _weights(model), strict=True):
        if divided not in gathered:
            value = whole(divided.detach())
            exact = value.untyped_storage().nbytes() == value.nbytes  # else more lies behind it, which would be saved
            gathered[divided] = nn.Parameter(value if exact else value.clone(), divided.requires_grad)
        _put(twin, path, gathered[divided])


@contextmanager
def filled(twin: nn.Module, model: nn.Module) -> Iterator[None]:
    """The twin of a divided model has its weights until the block ends; nothing happens to a model that has no twin."""
    if twin is model:
        yield
        return
    before = _weights(twin)
    fill(twin, model)
    try:
        yield
    finally:
        for path, empty in before:
            _put(twin, path, empty)


def own_part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor that may be divided."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be divided."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _weights(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """All by all of their names."""
    return list(model.named_parameters(remove_duplicate=False))


def _put(model: nn.Module, path: str, weight: nn.Parameter) -> None:
    module, _, name = path.rpartition(".")
    setattr(model.get_submodule(module), name, weight)
