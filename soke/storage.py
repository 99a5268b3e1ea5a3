"""Writing without halves: files and folders appear under their name only when they are complete."""
from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from soke.errors import UserError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`, which takes its place when the block succeeds and vanishes otherwise.

    Raises UserError when it cannot be written: a full disk, a read-only folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # libraries choose the format by the suffix
    with _explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`, which replaces `path` when the block succeeds and vanishes otherwise.

    Raises UserError when it cannot be written: a full disk, a read-only folder.
    """
    path = Path(path)
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{role}") for role in ("new", "old"))
    for folder in (temporary, old):
        shutil.rmtree(folder, ignore_errors=True)
    with _explained(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # numpy's has no strerror when a disk is full
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; make room, or choose a folder that can be written to"
        ) from error
