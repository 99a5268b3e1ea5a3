"""A simulated GPU: a device `sim`, whose tensors hold CPU data, for finding what would fail or wait on a real one.

An operation on a tensor of it and one of the CPU fails, as on a GPU. What makes a program wait for a GPU is counted in
`waits`: reading values, and copies to the CPU; those to the device, after which a program goes on, are counted as uploads.
Importing this registers the device with torch once and for all.
"""

from __future__ import annotations

import collections

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
READS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten._unique2.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default)  # a GPU takes indices on the CPU


class Backend(_DummyBackendModule):
    def get_rng_state(self, device=None):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=None):
        pass

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("sim", backend_module=Backend())
DEVICE = torch.device("sim:0")
waits: collections.Counter[str] = collections.Counter()  # operation -> how often it was waited for


class SimTensor(torch.Tensor):
    """A tensor of the device; `held` are its data."""

    is_cuda = True  # programs that ask take the way that they take on a GPU

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=DEVICE,
        )
        tensor.held = held
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return dispatched(function, args, kwargs or {})

    def tolist(self):
        waits["tolist"] += 1
        return self.held.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("a tensor of a GPU cannot become an array")

    __array__ = numpy

    def data_ptr(self):
        return self.held.data_ptr()

    def __reduce_ex__(self, protocol):
        return self.held.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        return SimTensor(self.held.clone())

    def __repr__(self, *, tensor_contents=None):
        return f"sim {self.held}"


def held(values):
    return tree_map_only(SimTensor, lambda tensor: tensor.held, values)


def dispatched(function, args, kwargs):
    """The result of an operation, computed on the CPU, on the device that it should be on. Raises RuntimeError for what
    a GPU would not do."""
    kwargs = {key: value for key, value in kwargs.items() if key not in ("non_blocking", "pin_memory")}
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, SimTensor)]
    here = [tensor for tensor in tensors if not isinstance(tensor, SimTensor)]
    asked = kwargs.get("device")
    on_device = bool(there) if asked is None else torch.device(asked).type == DEVICE.type
    if asked is not None:
        kwargs["device"] = "cpu"
    if function in COPIES:
        waits["upload" if on_device else "copy"] += bool(here if on_device else there)
        result = function(*held(args), **held(kwargs))
        if function is aten.copy_.default:
            return args[0]
        result = result.clone() if result is held(args[0]) else result
        return SimTensor(result) if on_device else result
    if function in READS or (function is aten.index.Tensor and any(t.dtype == torch.bool for t in tensors[1:])):
        waits[str(function)] += bool(there)
    if there and any(tensor.ndim for tensor in here):
        if function not in INDEXING or here[0] is args[0]:
            raise RuntimeError(f"{function} got tensors of two devices")
        waits["upload"] += 1
    if there and any(isinstance(leaf, torch.Generator) for leaf in tree_leaves((args, kwargs))):
        raise RuntimeError(f"{function} got a generator of the CPU for a tensor of a GPU")
    result = function(*held(args), **held(kwargs))
    if not on_device:
        return result
    result = tree_map_only(torch.Tensor, SimTensor, result)
    return return_and_correct_aliasing(function, args, kwargs, result) if there else result


class Simulation(TorchDispatchMode):
    """While it lasts, tensors can be made on the device and moved to it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return dispatched(function, args, kwargs or {})


# `torch.tensor` and assignments of lists go past all modes, down to these.
def empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return SimTensor(torch.empty(size, dtype=dtype))


def empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return SimTensor(torch.empty_strided(size, stride, dtype=dtype))


def copy_from(source, target, non_blocking=False):
    waits["upload" if isinstance(target, SimTensor) else "copy"] += 1
    held(target).copy_(held(source))
    return target


library = torch.library.Library("aten", "IMPL")
library.impl("empty.memory_format", empty, "PrivateUse1")
library.impl("empty_strided", empty_strided, "PrivateUse1")
library.impl("_copy_from", copy_from, "PrivateUse1")
