"""Trains every stage with the arguments of train.py, one after the other, so that nothing random differs between numbers
of processes: no dropout, no noise, and batch normalisation by the running statistics.

Run by test_many_processes.py: python -m tests.on_many_processes OVERRIDE ...
"""

from __future__ import annotations

import os
import sys

import train
from soke.run import cli

ROOT = os.environ["SHOP"]
STAGES = {
    "configs/demo/deto.yaml": ["LOSS.REDUCTION=per_part", "LOSS.VELOCITY=0.5"],
    "configs/demo/soke.yaml": ["GENERATOR.TRANSLATION=0.4", "GENERATOR.RETRIEVAL.DROP=0"],
    "configs/demo/back_translation.yaml": ["TRANSLATION.DROPOUT=0", "TRAIN.FREEZE=[frame_norm.*,text_norm.*]"],
    "configs/demo/progressive_transformer.yaml": [
        "REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16", "REGRESSOR.MAX_FRAMES=24", "REGRESSOR.JUST_COUNTER=false",
        "REGRESSOR.NOISE=0", "REGRESSOR.COUNTER_NOISE=0", "EVAL.GENERATE_EVERY=1",
    ],
    "configs/demo/retrieval.yaml": ["RETRIEVAL.DROPOUT=0"],
    "configs/demo/motion_autoencoder.yaml": [],
    "configs/demo/soke_grpo.yaml": [
        f"TRAIN.INIT={ROOT}/experiments/generator/start/generator", "POLICY.SAMPLES=2", "POLICY.SENTENCES=0",
        "POLICY.SHARE=1", "POLICY.UPDATES=1", "GENERATOR.RETRIEVAL.DROP=0", "FOLDER={folder}/grpo",
    ],
}


def main() -> None:
    folder = f"{ROOT}/experiments"
    for stage, more in STAGES.items():
        train.main(["--cfg", stage, "--nodebug", *sys.argv[1:], *(item.format(folder=folder) for item in more)])
    signs = [item for item in sys.argv[1:] if item.startswith(("NAME=", "DEVICE=", "TRAIN.BATCH", "TRAIN.RESUME"))]
    train.main(["--cfg", f"{ROOT}/signs/toy.yaml", "--nodebug", *signs, "TRAIN.END_EPOCH=2"])


if __name__ == "__main__":
    cli.run(main)
