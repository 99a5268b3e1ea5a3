"""Pickles that lie in other files, and files of torch.save, read as restrictedly as `soke.pickles` reads."""
from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from soke.errors import UserError
from soke.pickles import TorchValue, _Refused, _RestrictedUnpickler


class _Unpickler(_RestrictedUnpickler):
    def __init__(self, data: bytes):
        pickle.Unpickler.__init__(self, io.BytesIO(data), encoding="latin1")
        self._tensor, self._stand_ins = TorchValue, {}

    def persistent_load(self, pid: Any) -> Any:
        """The numbers of a tensor, which are not read."""
        return TorchValue()


def parse_pickle(data: bytes, source: str) -> Any:
    """The content of a pickle: containers, strings, numbers and numpy arrays; a torch tensor is a `TorchValue`.

    Raises UserError, which calls it `source`, for one that is damaged or names anything else to load.
    """
    try:
        return _Unpickler(data).load()
    except _Refused as refused:
        raise UserError(
            f"{source} was refused: it asks to load {refused}, and only numpy arrays and plain containers are read"
        ) from None
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(
            f"{source} is cut off or is not a pickle ({type(error).__name__}: {error}); copy or extract it again"
        ) from error


def load_saved(path: Path) -> Any:
    """The content of a file of torch.save (since 1.6), as `parse_pickle` has it. Raises UserError as that does."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            data = archive.read(member)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # damaged bytes can raise nearly anything
        raise UserError(
            f"{path} is cut off or is no file of torch.save ({type(error).__name__}: {error}); copy or extract it again"
        ) from error
    return parse_pickle(data, str(path))
