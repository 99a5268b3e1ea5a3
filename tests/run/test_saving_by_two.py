"""Two processes with rates by the step, a moving average, an early end and checkpoints in mid-epoch: they agree, and what
they continue becomes what it would have been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soke.run import saving
from soke.run.config import ROOT
from tests.run.test_saving import saved

pytestmark = pytest.mark.slow
SETTINGS = (
    "TRAIN.END_EPOCH=9", "TRAIN.OPTIM.EVERY=step", "TRAIN.OPTIM.SCHEDULE=linear", "TRAIN.OPTIM.LR=3.0", "TRAIN.AVERAGE=0.5",
    "TRAIN.SAVE.EVERY_STEPS=2", "TRAIN.SAVE.EVERY_EPOCHS=0", "TRAIN.SAVE.KEEP=2", "EVAL.PATIENCE=1",
)


def run(folder: Path, *arguments: str) -> tuple[int, list[dict]]:
    """Exit status, and what each process has written."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.run.on_two_processes", str(folder), *arguments, *SETTINGS]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    files = sorted(folder.glob("rank*.json"))
    assert done.returncode or len(files) == 2, done.stderr[-3000:]
    return done.returncode, [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_two_processes_agree_and_continue_in_mid_epoch(tmp_path):
    """Three steps per epoch; broken off in the fifth, after the checkpoint of the fourth."""
    status, whole = run(tmp_path / "whole", "-1", "")
    assert status == 0 and [one["processes"] for one in whole] == [2, 2]
    for key in ("weight", "rates", "epoch", "score"):
        assert whole[0][key] == whole[1][key], key
    assert whole[0]["epoch"] < 9  # an early end, of both
    status, _ = run(tmp_path / "broken", "4", "")
    assert status != 0 and saved(tmp_path / "broken")["global_step"] == 4
    status, again = run(tmp_path / "broken", "-1", "last.ckpt")
    assert status == 0
    for ours, theirs in zip(again, whole):
        assert ours["weight"] == theirs["weight"] and ours["epoch"] == theirs["epoch"]
        assert ours["logged"] == theirs["logged"][-len(ours["logged"]) :]
        assert ours["rates"] == theirs["rates"][4:]
    ends = [saved(tmp_path / name) for name in ("whole", "broken")]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(ends[1]["state_dict"][name], value), name
    kept = [[path.name for path in saving.kept(tmp_path / name / "checkpoints")] for name in ("whole", "broken")]
    assert kept[0] == kept[1] and len(kept[0]) == 2
