"""What becomes of the processes of a training when one of them ends in an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl

from soke.errors import UserError
from soke.run import processes

_SECONDS = 10.0  # in which a process that others cannot reach any more has ended
# What torch, gloo and NCCL say of a process that is not there any more.
_SIGNS = ("onnection closed by peer", "onnection reset by peer", "Broken pipe", "Timed out waiting", "NCCL", "gloo/transport")


@contextmanager
def ending_together(trainer: pl.Trainer) -> Iterator[None]:
    """An error in the block ends the processes that this one has started, which would wait for it.

    Raises SystemExit where one of these has ended in an error, and has said so; UserError where another process, of
    whatever machine, cannot be reached any more.
    """
    try:
        yield
    except BaseException as error:
        started = getattr(trainer.strategy.launcher, "procs", [])
        lost = processes.count() > 1 and isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
        until = time.monotonic() + _SECONDS * lost
        while started and all(process.poll() is None for process in started) and time.monotonic() < until:
            time.sleep(0.1)
        ended = [process.returncode for process in started if process.poll()]
        for process in started:
            process.kill()
            process.wait()
        if lost and any(code > 0 for code in ended):
            raise SystemExit(ended[0]) from None
        if lost:
            raise UserError(
                "another process of this training has ended or cannot be reached, so it ends here, too: see what that one "
                "has said, and continue from the last checkpoint with TRAIN.RESUME=auto"
            ) from error
        raise
