"""train.py, in which a process fails in the middle of the second epoch.

Run by test_many_processes.py: FAILS="RANK KIND" python -m tests.on_failing_processes ...
RANK is that of the process, or all; KIND is user, an error of the user's, or bug.
"""

from __future__ import annotations

import os

import torch

import train
from soke.errors import UserError
from soke.generator.module import GeneratorModule
from soke.run import cli

RANK, KIND = os.environ["FAILS"].split()
_step = GeneratorModule.training_step


def failing(self: GeneratorModule, batch: object, index: int) -> torch.Tensor:
    if (self.current_epoch, index) == (1, 1) and RANK in ("all", str(self.global_rank)):
        raise UserError("clip seven is broken: mend it") if KIND == "user" else ValueError("a bug of ours")
    return _step(self, batch, index)


if __name__ == "__main__":
    GeneratorModule.training_step = failing
    cli.run(train.main)
