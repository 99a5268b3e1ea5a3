"""Pickles of public data sets, read without running what they name: arrays, plain containers, nothing else."""
from __future__ import annotations

import collections
import functools
import gzip
import io
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from soke.errors import UserError

_FOREIGN = ">" if sys.byteorder == "little" else "<"
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"  # of torch.save since 1.6
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle in a file of torch.save before
_PLAIN_DTYPE = re.compile(r"[biufcSU]\d+")


class _Saved(Exception):
    """The file is none of pickle, but of torch.save."""


class _Refused(pickle.UnpicklingError):
    """A pickle names something that is not on the list."""


@functools.lru_cache(maxsize=64)
def _plain_dtype(code: str) -> np.dtype:
    if not _PLAIN_DTYPE.fullmatch(code):
        raise _Refused(f"an array of type {code!r}")
    return np.dtype(code)


class _DType:
    """Stands in for numpy.dtype, whose own `__setstate__` believes whatever it is told."""

    def __init__(self, code: str, *_flags: bool):
        self.dtype = _plain_dtype(code)

    def __setstate__(self, state: tuple) -> None:
        byte_order = state[1]
        if byte_order == _FOREIGN:
            self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """What numpy's `_reconstruct` makes; the type of its numbers has to be a plain one."""

    def __setstate__(self, state: tuple) -> None:
        version, shape, stand_in, is_fortran, raw = state
        if isinstance(raw, str):  # of Python 2
            raw = raw.encode("latin1")
        if not (isinstance(stand_in, _DType) and isinstance(raw, bytes)):
            raise _Refused("an array without plain numbers")
        super().__setstate__((version, shape, stand_in.dtype, is_fortran, raw))


class _NdarrayName:
    """Stands in for the class numpy.ndarray, which pickles only mention."""


def _reconstruct(*_args: Any) -> np.ndarray:
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _from_buffer(buffer: bytes, stand_in: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, stand_in.dtype).reshape(shape, order=order)


def _scalar(stand_in: _DType, raw: bytes) -> np.generic:
    return np.frombuffer(raw, stand_in.dtype, count=1)[0]


def _encode(text: str = "", _encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 and below write bytes; empty ones as a call without arguments."""
    return text.encode("latin1")


class TorchValue:
    """Stands where a pickle holds a tensor, for who wants to tell it from None."""

    def __init__(self, *_args: Any, **_kwargs: Any):
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """Stands in for everything in torch: the annotations' tensors are not used, and their loader is not safe."""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer
for _builtins in ("builtins", "__builtin__"):
    _ALLOWED[_builtins, "bytes"] = _encode
    _ALLOWED[_builtins, "set"] = set
    _ALLOWED[_builtins, "frozenset"] = frozenset


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, tensor: Callable[..., Any], stand_ins: Mapping[tuple[str, str], Any]):
        super().__init__(io.BytesIO(data), encoding="latin1")  # strings and arrays of Python 2
        self._tensor, self._stand_ins = tensor, stand_ins

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module, name), self._stand_ins.get((module, name)))
        if allowed is not None:
            return allowed
        if module == "torch" or module.startswith("torch."):
            return self._tensor
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """The numbers of a tensor in a file of torch.save, which are not read."""
        return self._tensor()


def load_pickle(
    path: str | os.PathLike[str], tensor: Callable[..., Any] = _nothing,
    stand_ins: Mapping[tuple[str, str], Any] = MappingProxyType({}),
) -> Any:
    """The content of a pickle, gzipped or not: containers, strings, numbers and numpy arrays; torch tensors are None,
    or what `tensor` makes.

    stand_ins: (module, name) of what the pickle may name besides -> what is taken in its place

    Raises UserError that names the file: it is missing, empty, cut off, no pickle (a file of torch.save is none), or
    names anything else to load.
    """
    return parse_pickle(_bytes_of(path), str(path), tensor, stand_ins)


def load_saved(path: str | os.PathLike[str]) -> Any:
    """The content of a file of torch.save (since 1.6), as `load_pickle` has it; a tensor is a `TorchValue`. Raises
    UserError as that does."""
    data = _bytes_of(path)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        pickled = archive.read(member)
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(
            f"{path} is cut off or is no file of torch.save ({type(error).__name__}: {error}); copy or extract it again"
        ) from error
    return parse_pickle(pickled, str(path), TorchValue)


def parse_pickle(
    data: bytes, source: str, tensor: Callable[..., Any] = _nothing,
    stand_ins: Mapping[tuple[str, str], Any] = MappingProxyType({}),
) -> Any:
    """As `load_pickle`, of bytes; `source` says in errors where they are from."""
    try:
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
        if data.startswith(_ZIP_MAGIC):
            raise _Saved
        content = _RestrictedUnpickler(data, tensor, stand_ins).load()
        if isinstance(content, int) and content == _TORCH_MAGIC:
            raise _Saved
        return content
    except _Saved:
        raise UserError(
            f"{source} was written by torch.save, or is another zip archive; read it with torch.load, turn its tensors "
            "into numpy arrays (tensor.numpy()) and write it with pickle.dump"
        ) from None
    except _Refused as refused:
        raise UserError(
            f"{source} was refused: it asks to load {refused}, and only numpy arrays and plain containers are read"
        ) from None
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(
            f"{source} is cut off or is not a pickle ({type(error).__name__}: {error}); copy or extract it again"
        ) from error


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes); copy or extract it again")
    return data
