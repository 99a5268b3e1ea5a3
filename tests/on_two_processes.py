"""Trains every stage with the arguments of train.py, one after the other; every process writes what it has seen.

Run by test_two_processes.py: python -m tests.on_two_processes FOLDER OVERRIDE ...
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytorch_lightning as pl

import train
from soke.build import trainer
from soke.run import cli

CSL = "DATASET.CORPORA.phoenix=null"
STAGES = {
    "deto": [CSL], "soke": [CSL], "back_translation": [],
    "progressive_transformer": [
        "REGRESSOR.GROUPS=per_language", "REGRESSOR.JUST_COUNTER=false", "REGRESSOR.NOISE=1", "EVAL.GENERATE_EVERY=1",
    ],
    "soke_grpo": [CSL, "NAME=grpo", "TRAIN.INIT={}/experiments/generator/two/generator", "POLICY.SAMPLES=2"],
}


class Witness(pl.Callback):
    """Keeps the scores and a hash of the weights at the end of every training."""

    def __init__(self, seen: list[dict[str, object]]):
        self.seen = seen

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        digest = hashlib.sha256()
        for value in module.state_dict().values():
            digest.update(value.numpy().tobytes())
        scores = {name: value.item() for name, value in trainer.callback_metrics.items() if "/" in name}
        self.seen.append({"processes": trainer.world_size, "weights": digest.hexdigest(), "scores": scores})


def main() -> None:
    folder, *overrides = sys.argv[1:]
    seen: list[dict[str, object]] = []
    original = trainer.new_trainer

    def watched(*arguments) -> pl.Trainer:
        made = original(*arguments)
        made.callbacks.append(Witness(seen))
        rank.append(made.global_rank)
        return made

    rank: list[int] = []
    trainer.new_trainer = watched
    for stage, more in STAGES.items():
        train.main(["--cfg", f"configs/demo/{stage}.yaml", "--nodebug", *overrides, *(m.format(folder) for m in more)])
    Path(folder, f"rank{rank[-1]}.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
