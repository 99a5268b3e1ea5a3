"""Trains `Noisy` by two processes; each writes what it has. Run by test_saving_by_two.py:

python -m tests.run.on_two_processes FOLDER BROKEN_AT (-1: never) RESUME OVERRIDE ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from soke.run import processes
from tests.run.test_saving import trained


def main() -> None:
    folder, broken_at, resume, *overrides = sys.argv[1:]
    module = trained(
        Path(folder), "DEVICE=2", *overrides, broken_at=int(broken_at) if broken_at != "-1" else None, resume=resume
    )
    found = {
        "weight": module.weight.tolist(), "logged": module.logged, "rates": module.rates, "processes": processes.count(),
        "epoch": module.trainer.current_epoch, "score": float(module.trainer.callback_metrics["val/loss"]),
    }
    Path(folder, f"rank{module.global_rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
