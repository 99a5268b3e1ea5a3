"""train.py, in which a process fails in the middle of the second epoch.

Run by test_many_processes.py: FAILS="RANK KIND" python -m tests.on_failing_processes ...
RANK is that of the process, or all, or none; KIND is user, an error of the user's, bug, die: the process is killed, or
kill: with the one that has started it, as when its machine goes down.
"""

from __future__ import annotations

import os
import signal

import torch

import train
from soke.errors import UserError
from soke.generator.module import GeneratorModule
from soke.run import cli

RANK, KIND = os.environ.get("FAILS", "none none").split()
_step = GeneratorModule.training_step


def failing(self: GeneratorModule, batch: object, index: int) -> torch.Tensor:
    if (self.current_epoch, index) == (1, 1) and RANK in ("all", str(self.global_rank)):
        if KIND == "kill":
            os.kill(os.getppid(), signal.SIGKILL)
        if KIND in ("die", "kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        raise UserError("clip seven is broken: mend it") if KIND == "user" else ValueError("a bug of ours")
    return _step(self, batch, index)


if __name__ == "__main__":
    GeneratorModule.training_step = failing
    cli.run(train.main)
