"""Import the public SOKE tokenizer: `python -m prepare.import_soke --ckpt tokenizer.ckpt --mean mean.pt --out FOLDER`.

A Lightning checkpoint of the public code becomes a folder that `TOKENIZER.PATH` can name. Only its weights are read,
and nothing in it runs. mean.pt, and std.pt beside it, are the published ones. Features whose published standard
deviation is nearly zero are normalised by a larger one here (the log counts them), so their share in the codes is not
the same.
"""
from __future__ import annotations

import argparse
import collections
import io
import logging
import math
import os
import pickle
import re
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from soke.body.layout import MotionLayout
from soke.build.body import layout_of
from soke.data.statistics import STD_FLOOR, published_statistics
from soke.errors import UserError
from soke.run import cli
from soke.run.config import load_config
from soke.tokenizer.soke_weights import CODEBOOK, check_part, load_part, reference_decoder, reference_encoder
from soke.tokenizer.tokenizer import PartAutoencoder, SignTokenizer

_log = logging.getLogger(__name__)
LAYOUT_CONFIG = "configs/deto.yaml"  # whose parts are SOKE's
PARTS = {"vae": "body", "hand_vae": "lhand", "rhand_vae": "rhand"}  # prefix in the checkpoint -> part of the layout
TOLERANCE = 1e-4
_SHOWN = 50  # names that one line lists at most

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # open every file of torch.save before PyTorch 1.6
_STORAGES = {
    "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16, "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64, "ByteStorage": torch.uint8, "CharStorage": torch.int8,
    "ShortStorage": torch.int16, "IntStorage": torch.int32, "LongStorage": torch.int64, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}


class _Unusable(Exception):
    """Why a checkpoint cannot be used, as the end of a sentence that begins with its name."""


class _Inert:
    """Takes the place of every class and function that a file names: accepts what is done to it and does nothing."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __call__(self, *_args: Any, **_kwargs: Any) -> _Inert:
        return self

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    @staticmethod
    def __setstate__(*_args: Any) -> None:  # static, so that a class cannot be given a state either
        pass

    append = extend = add = __setstate__


class _TensorRecord(_Inert):
    """What a file says of a tensor; it becomes one only when it is needed, in `_tensor`."""

    arguments: tuple = ()

    def __init__(self, *arguments: Any):
        self.arguments = arguments


class _Parameter(_Inert):
    """A parameter is its tensor."""

    def __new__(cls, data: Any = None, *_args: Any) -> Any:
        return data


class _StorageRecord(_Inert):
    """What a file says of the numbers behind tensors; only `_Unpickler.persistent_load` makes one."""

    def __init__(self, dtype: Any, key: Any, count: Any):
        self.dtype, self.key, self.count = dtype, key, count


_STAND_INS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _TensorRecord,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Imports nothing and calls nothing but the stand-ins above.

    foreign:  what else the file named
    storages: key -> record of the numbers behind tensors
    """

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.foreign: set[str] = set()
        self.storages: dict[Any, _StorageRecord] = {}

    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            self.foreign.add(f"{module}.{name}")
            return _Inert
        return stand_in

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # old format: a class, followed by its source text
            return pid[1]
        kind, dtype, key, _device, count, *view = pid
        if kind != "storage" or any(part is not None for part in view):
            raise _Unusable("has an old format that is not read here: load it with PyTorch and save it again")
        return self.storages.setdefault(key, _StorageRecord(dtype, key, count))


_Content = tuple[Any, Callable[[Any], bytes], set[str]]  # what was pickled, storage key -> its bytes, foreign names


def _open_zip(file: IO[bytes]) -> _Content:
    archive = zipfile.ZipFile(file)
    roots = [m[1] for m in (re.fullmatch(r"([^/]+/)data\.pkl", name) for name in archive.namelist()) if m]
    if len(roots) != 1:
        raise _Unusable("is a zip file but no checkpoint of PyTorch: give the .ckpt file of the tokenizer")

    def read(name: str) -> bytes:
        record = archive.getinfo(roots[0] + name)
        if record.compress_type != zipfile.ZIP_STORED:  # could unpack to any size
            raise _Unusable("is a compressed zip file, which PyTorch does not write: give the .ckpt file as it was")
        return archive.read(record)

    if f"{roots[0]}byteorder" in archive.namelist() and read("byteorder").decode() != sys.byteorder:
        raise _Unusable("was saved in another byte order than this machine's: load it with PyTorch and save it again")
    unpickler = _Unpickler(io.BytesIO(read("data.pkl")))
    return unpickler.load(), lambda key: read(f"data/{key}"), unpickler.foreign


def _open_legacy(file: IO[bytes]) -> _Content:
    try:
        magic = _Unpickler(file).load()
    except Exception:  # other bytes can raise nearly anything
        magic = None
    if not isinstance(magic, int) or magic != _LEGACY_MAGIC:
        raise _Unusable(
            "is not a checkpoint that can be read safely: give the .ckpt file of the tokenizer; if PyTorch loads this "
            "one, save it again with torch.save"
        )
    if _Unpickler(file).load() != _LEGACY_PROTOCOL:
        raise _Unusable("has an unknown old format: load it with PyTorch and save it again with torch.save")
    system = _Unpickler(file).load()
    if system["little_endian"] != (sys.byteorder == "little"):
        raise _Unusable("was saved in another byte order than this machine's: load it with PyTorch and save it again")
    unpickler = _Unpickler(file)
    content = unpickler.load()
    keys = _Unpickler(file).load()  # the storages follow in this order: number of numbers, then their bytes
    places = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        length = count * unpickler.storages[key].dtype.itemsize
        places[key] = file.tell(), length
        file.seek(length, os.SEEK_CUR)

    def read(key: Any) -> bytes:
        start, length = places[key]
        file.seek(start)
        return file.read(length)

    return content, read, unpickler.foreign


def _tensor(key: str, record: Any, read: Callable[[Any], bytes]) -> Tensor:
    """The tensor that a record describes, as float32. Every number of the record is checked: PyTorch would trust it."""
    if not isinstance(record, _TensorRecord) or len(record.arguments) < 4:
        raise _Unusable(f"is damaged: {key} is no tensor")
    storage, offset, size, stride = record.arguments[:4]
    if not (
        isinstance(storage, _StorageRecord) and isinstance(size, tuple) and isinstance(stride, tuple)
        and len(size) == len(stride)
        and all(type(number) is int and number >= 0 for number in (storage.count, offset, *size, *stride))
    ):
        raise _Unusable(f"is damaged: {key} is described by other things than sizes and places")
    if not (isinstance(storage.dtype, torch.dtype) and storage.dtype.is_floating_point):
        raise _Unusable(f"is damaged: {key} does not hold floating-point numbers")
    elements, last = math.prod(size), offset + sum((n - 1) * step for n, step in zip(size, stride))
    if not elements or elements > storage.count or last >= storage.count:
        raise _Unusable(
            f"is damaged: {key} claims {list(size)} numbers in steps of {list(stride)} from number {offset} on, but "
            f"its storage has {storage.count}"
        )
    data = bytearray(read(storage.key))
    if len(data) != storage.count * storage.dtype.itemsize:
        raise _Unusable(f"is cut off or damaged: the storage of {key} has {len(data)} bytes; copy or download it again")
    values = torch.frombuffer(data, dtype=storage.dtype).as_strided(size, stride, offset)
    return values.float().clone(memory_format=torch.contiguous_format)


def read_weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """{prefix: {public key: float32 tensor}} for the prefixes of `PARTS`; the log says what else there is.

    Only these tensors are read. Classes and functions that the file names are neither imported nor called. Raises
    UserError when the file is missing, damaged, no Lightning checkpoint, or lacks a part.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(len(_ZIP_MAGIC))
            file.seek(0)
            if not start:
                raise _Unusable("is empty (0 bytes): copy or download it again")
            content, read, foreign = (_open_zip if start == _ZIP_MAGIC else _open_legacy)(file)
            state = content.get("state_dict") if isinstance(content, dict) else None
            if not isinstance(state, dict):
                raise _Unusable("holds no state_dict: give the Lightning checkpoint (.ckpt) of the tokenizer")
            weights: dict[str, dict[str, Tensor]] = {}
            others: Counter[str] = Counter()
            for key, record in state.items():
                if not (isinstance(key, str) and key.isprintable()):
                    raise _Unusable("is damaged: a key of its state_dict is no plain text")
                prefix, _, name = key.partition(".")
                if prefix in PARTS:
                    weights.setdefault(prefix, {})[name] = _tensor(key, record, read)
                else:
                    others[prefix] += 1
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except _Unusable as reason:
        raise UserError(f"{path} {reason}") from None
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(f"{path} is cut off or damaged ({type(error).__name__}): copy or download it again") from error
    for prefix, part in PARTS.items():
        if prefix not in weights:
            raise UserError(
                f"{path} has no {prefix}.*, the weights of {part}; its keys begin with {_listed([*weights, *others])}; "
                "give the Lightning checkpoint of the tokenizer"
            )
    if others:
        counts = _listed([f"{prefix} ({count})" for prefix, count in others.most_common()])
        _log.info("keys of the checkpoint that are not used, by prefix: %s", counts)
    if foreign:
        _log.info("classes and functions that it names, which were not loaded: %s", ascii(_listed(sorted(foreign))))
    return weights


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return (", ".join(names[:_SHOWN]) or "nothing") + (f" and {more} more" if more > 0 else "")


def build_tokenizer(weights: dict[str, dict[str, Tensor]], mean: Path, layout: MotionLayout) -> SignTokenizer:
    """The tokenizer of the weights that `read_weights` gives, in evaluation mode, checked against the public one.

    mean: mean.pt, with std.pt beside it. The public code divides by the standard deviation + 1e-10; here it is at least
    `STD_FLOOR`, and the log counts the features for which that matters. Raises UserError that names the key whose shape
    is not the expected one, and as `published_statistics` does.
    """
    settings = {}
    for prefix, part in PARTS.items():
        try:
            settings[part] = check_part(weights[prefix], layout.sizes[part])
        except UserError as error:
            raise UserError(f"the checkpoint is not one of the public SOKE tokenizer: {prefix}.{error}") from None
    if len({s.downsample for s in settings.values()}) != 1:
        found = ", ".join(f"{part} {s.downsample}" for part, s in settings.items())
        raise UserError(f"the parts of the checkpoint do not belong together: their frames per code are {found}")
    statistics = published_statistics(mean, mean.with_name("std.pt"), layout)
    tokenizer = SignTokenizer(layout, statistics.mean, statistics.std, settings).eval()
    for prefix, part in PARTS.items():
        load_part(tokenizer.autoencoders[part], weights[prefix])
        deviation = largest_deviation(tokenizer.autoencoders[part], weights[prefix])
        if not deviation <= TOLERANCE:
            raise UserError(
                f"{prefix}.* computes something else here than the public tokenizer does (by {deviation:.2g}, at most "
                f"{TOLERANCE:g} is rounding): its numbers are not those of a trained tokenizer"
            )
    low = sum(int((values == STD_FLOOR).sum()) for values in statistics.std.values())
    if low:
        _log.warning(
            "%d of %d features hardly move in the published statistics: the public code blows them up by dividing by "
            "nearly zero, here they are divided by %g, so codes can differ from published ones where they do move",
            low, sum(layout.sizes.values()), STD_FLOOR,
        )
    return tokenizer


@torch.no_grad()
def largest_deviation(autoencoder: PartAutoencoder, public: dict[str, Tensor]) -> float:
    """How far latents, codes and reconstruction of random features are from the public tokenizer's, computed in double.

    Latents and reconstruction: the largest difference, relative to the largest value where that is above 1. Codes: how
    much farther (in squared distance, relative likewise) the chosen one may be than the nearest: rounding decides ties.
    """
    public = {key: values.double() for key, values in public.items()}
    frames = 16 * 2 ** len(autoencoder.encoder.stages)
    features = torch.randn(2, frames, len(autoencoder.mean), generator=torch.Generator().manual_seed(0))
    found = autoencoder.encoder(features.transpose(1, 2))
    streams = autoencoder.quantizer.encode(found)  # [B, K, 1]
    reconstruction = autoencoder.decoder(autoencoder.quantizer.decode(streams)).transpose(1, 2)
    codes = streams[..., 0]
    latents = reference_encoder(public, features.double())
    distances = torch.cdist(latents.transpose(1, 2), public[CODEBOOK]).square()  # [B, K, codes]
    chosen = distances.gather(2, streams)[..., 0]
    return max(
        _relative(found, latents),
        _relative(reconstruction, reference_decoder(public, codes)),
        float((chosen - distances.amin(2)).max() / distances.max().clamp(min=1)),
    )


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def import_soke(ckpt: Path, mean: Path, out: Path) -> tuple[SignTokenizer, bool]:
    """The imported tokenizer, and whether `out` was written: not when it holds the same tokenizer already.

    Raises UserError as `read_weights` and `build_tokenizer` do, and when `out` holds anything else; nothing is written
    then.
    """
    layout = layout_of(load_config(LAYOUT_CONFIG))
    tokenizer = build_tokenizer(read_weights(ckpt), mean, layout)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if _is_in(out, tokenizer):
            return tokenizer, False
        raise UserError(f"{out} is there already and holds something else: choose another folder with --out")
    tokenizer.save_pretrained(out)
    return tokenizer, True


def _is_in(folder: Path, tokenizer: SignTokenizer) -> bool:
    try:
        return SignTokenizer.from_pretrained(folder).hash == tokenizer.hash
    except UserError:
        return False


def summary(tokenizer: SignTokenizer) -> str:
    """Sizes of the parts and the hash, a line each."""
    lines = []
    for part, settings in tokenizer.settings.items():
        count = sum(parameter.numel() for parameter in tokenizer.autoencoders[part].parameters())
        lines.append(
            f"{part}: {settings.quantizer.codes} codes of {settings.code_dim} numbers, width {settings.width}, "
            f"{settings.depth} blocks per stage, {settings.downsample} frames per code, {count:,} parameters"
        )
    return "\n".join([*lines, f"tokenizer {tokenizer.hash}, statistics {tokenizer.statistics.hash}"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.import_soke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ckpt", type=Path, required=True, help="Lightning checkpoint of the public tokenizer")
    parser.add_argument("--mean", type=Path, required=True, help="the published mean.pt, with std.pt beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tokenizer; made if missing")
    options = parser.parse_args(arguments)
    tokenizer, made = import_soke(options.ckpt, options.mean, options.out)
    print(summary(tokenizer))
    print(f"{'Ready' if made else 'There already'}: TOKENIZER.PATH={options.out.resolve()}")


if __name__ == "__main__":
    cli.run(main)
