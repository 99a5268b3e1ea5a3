"""Folders in which one command works at a time."""
from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soke.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)

LOCK = "run.lock"


@contextmanager
def locked(folder: Path, work: str, key: str) -> Iterator[None]:
    """Keeps other processes out of `folder` until the block ends, or this process does, however it ends.

    A record lock of the system, which no process of ours inherits: forked workers that outlive a killed run do not hold
    it. Between machines it holds as far as the file system has such locks (NFS has); where it has none, and where the
    text in the file says that a run on another machine did not end in order, a warning says so.

    work: what is done there, such as "training"; key: by which another folder is chosen

    Raises UserError where another process works in the folder, and where nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}; choose another folder") from error
    with opened as file:
        file.seek(0)
        holder = " ".join(file.read().split())
        try:
            if fcntl is None:
                raise OSError("this system has none")
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise UserError(
                f"{folder} is in use: {holder or 'another process'} is {work} there; wait for it, stop it, or choose "
                f"another {key}"
            ) from None
        except OSError as error:
            log.warning("%s cannot be locked (%s): see to it that no second process is %s there", folder, error, work)
        host = socket.gethostname()
        if holder and not holder.endswith(f" on {host}"):
            log.warning(
                "%s: %s was %s there and did not end in order; a file system without locks between machines does not "
                "show whether it still is, so make sure that it is not", folder, holder, work,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {host}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
