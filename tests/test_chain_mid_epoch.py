"""Every stage is broken off in the middle of an epoch and continued from there, by the command line: with rates by the
step and a moving average of its weights, it becomes what it would have been without, to the last bit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import get_motion_code
import train
from soke.build import trainer
from tests.test_chain import Workshop

pytestmark = pytest.mark.slow
CSL = ("DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.phoenix=null")
SAVING = (
    "TRAIN.SAVE.EVERY_STEPS=2", "TRAIN.SAVE.EVERY_EPOCHS=0", "TRAIN.AVERAGE=0.5", "TRAIN.OPTIM.EVERY=step",
    "TRAIN.OPTIM.WARMUP_STEPS=3", "TRAIN.OPTIM.SCHEDULE=linear",
)
STAGES = {
    "deto": ("tokenizer", []),
    "soke": ("generator", ["GENERATOR.TRANSLATION=0.3"]),
    "back_translation": ("translation", ["TRANSLATION.BEAMS=[1]", "TRANSLATION.LENGTH_PENALTIES=[0]"]),
    "progressive_transformer": (
        "regressor", ["REGRESSOR.NOISE=1", "REGRESSOR.JUST_COUNTER=false", "REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16",
                      "REGRESSOR.MAX_FRAMES=44", "EVAL.GENERATE_EVERY=1", "EVAL.GENERATE_CLIPS=1"],
    ),
    "soke_grpo": (
        "generator", ["TRAIN.INIT={}/experiments/generator/toy/generator", "POLICY.SAMPLES=2", "POLICY.UPDATES=2",
                      "POLICY.SHARE=0.7"],
    ),
}


class PowerCut(pl.Callback):
    """In the last batch but one of the second epoch."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: object, index: int) -> None:
        if trainer.current_epoch == 1 and index == trainer.num_training_batches - 2:
            raise RuntimeError("power cut")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Of one corpus, in batches of few clips."""
    more = (*CSL, "TRAIN.BATCH_SIZE=3", "TRAIN.NUM_WORKERS=0")
    shop = Workshop(tmp_path_factory.mktemp("mid"), *more)
    shop.overrides = [o for o in shop.overrides if "how2sign.ROOT" not in o and "phoenix.ROOT" not in o]
    shop.furnish()
    for program, config in ((train, "deto"), (get_motion_code, "soke"), (train, "soke")):
        shop.run(program, config, "TRAIN.END_EPOCH=1", "EVAL.GENERATE_EVERY=0")
    return shop


def means(run: Path) -> list[dict[str, str]]:
    """What was logged of the epochs of training, by a run and by the one that continued it."""
    rows = []
    for file in sorted(run.glob("csv*/metrics.csv")):
        with file.open(encoding="utf-8") as stream:
            found = [row for row in csv.DictReader(stream) if row.get("train/loss") or row.get("train/reward")]
        rows += [{k: v for k, v in row.items() if k.startswith("train/") and v and "second" not in k} for row in found]
    return rows


@pytest.mark.parametrize("config", STAGES)
def test_a_run_that_continues_in_mid_epoch_becomes_what_it_would_have_been(shop, monkeypatch, config):
    stage, more = STAGES[config]
    settings = [*SAVING, *(setting.format(shop.root) for setting in more)]
    shop.run(train, config, f"NAME=whole-{config}", *settings)
    original = trainer.new_trainer
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(
            trainer, "new_trainer", lambda run, module, callbacks=(): original(run, module, [*callbacks, PowerCut()])
        )
        shop.run(train, config, f"NAME=broken-{config}", *settings)
    whole, broken = (shop.folder("experiments", stage, f"{name}-{config}") for name in ("whole", "broken"))
    if stage == "translation":
        whole, broken = whole / "csl", broken / "csl"
    begun = torch.load(broken / "checkpoints" / "last.ckpt", weights_only=True)
    done = begun["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"]
    assert begun["epoch"] == 1 and done > 0  # in the middle of the second epoch
    shop.run(train, config, f"NAME=broken-{config}", "TRAIN.RESUME=auto", *settings)
    ends = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, broken)]
    for of in (lambda end: end["state_dict"], lambda end: end["callbacks"]["MovingAverage"]["weights"]):
        states = [of(end) for end in ends]
        assert states[0].keys() == states[1].keys()
        for name, value in states[0].items():
            assert torch.equal(states[1][name], value), name
    assert str(ends[0]["lr_schedulers"]) == str(ends[1]["lr_schedulers"])
    assert means(broken) == means(whole) and len(means(whole)) == 2
