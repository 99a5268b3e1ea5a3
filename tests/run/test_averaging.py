"""The moving average of the weights: what it is, what is validated, saved and exported, and that runs go on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from soke.errors import UserError
from soke.run.averaging import MovingAverage
from soke.run.config import load_config
from soke.run.folders import LAST
from tests.run import test_saving
from tests.run.test_saving import BATCHES, Noisy, resumed_is_whole, saved, trained

DECAY = 0.75


class Tied(Noisy):
    """Remembers the weights after each step, and what it is validated with."""

    def __init__(self, config, broken_at: int | None = None):
        super().__init__(config, broken_at)
        self.tied = self.weight  # two names of one
        self.register_buffer("statistics", torch.tensor([0.1, 1 / 3]))
        self.after: list[dict[str, torch.Tensor]] = []
        self.validated: list[torch.Tensor] = []

    def on_train_batch_end(self, *arguments) -> None:
        self.after.append({name: getattr(self, name).detach().clone() for name in ("weight", "code", "seen")})

    def on_validation_epoch_end(self) -> None:
        self.validated.append(self.weight.detach().clone())


@pytest.fixture(autouse=True)
def tied(monkeypatch):
    monkeypatch.setattr(test_saving, "Noisy", Tied)


def average(values: list[torch.Tensor]) -> torch.Tensor:
    """By hand, in double precision."""
    found = values[0].double()
    for value in values[1:]:
        found = DECAY * found + (1 - DECAY) * value.double()
    return found.float()


def test_weights_and_codebooks_are_averaged_and_nothing_else_is_touched(tmp_path):
    module = trained(tmp_path, f"TRAIN.AVERAGE={DECAY}")
    for name in (LAST, "best.ckpt"):
        state = saved(tmp_path, name)["state_dict"]
        seen = module.after[: BATCHES * (saved(tmp_path, name)["epoch"] + 1)]
        for key in ("weight", "code"):
            expected = average([step[key] for step in seen])
            torch.testing.assert_close(state[key], expected, rtol=1e-5, atol=1e-6)
            assert not torch.allclose(state[key], seen[-1][key], rtol=1e-3)
        assert torch.equal(state["tied"], state["weight"])
        assert state["seen"] == len(seen)  # a counter has no average
        assert torch.equal(state["frozen"], torch.ones(2)) and torch.equal(state["statistics"], module.statistics)
    assert torch.equal(module.weight, module.after[-1]["weight"])


def test_training_is_what_it_would_be_without_and_validation_is_of_the_average(tmp_path):
    """In a module's own end of the validation, too, where motion is generated."""
    plain, averaged = trained(tmp_path / "plain"), trained(tmp_path / "averaged", f"TRAIN.AVERAGE={DECAY}")
    assert all(torch.equal(a["weight"], b["weight"]) for a, b in zip(plain.after, averaged.after))
    for epoch, validated in enumerate(averaged.validated):
        expected = average([step["weight"] for step in averaged.after[: BATCHES * (epoch + 1)]])
        torch.testing.assert_close(validated, expected, rtol=1e-5, atol=1e-6)
    best = saved(tmp_path / "averaged", "best.ckpt")
    assert torch.equal(best["state_dict"]["weight"], averaged.validated[best["epoch"]])


@pytest.mark.parametrize("more", [(), ("TRAIN.ACCUMULATE=2",)], ids=["each batch", "accumulated"])
def test_a_run_that_continues_has_the_averages_that_it_would_have_had(tmp_path, more):
    every = (f"TRAIN.AVERAGE={DECAY}", "TRAIN.SAVE.EVERY_STEPS=3", "TRAIN.SAVE.EVERY_EPOCHS=0", *more)
    resumed_is_whole(tmp_path, *every, broken_at=8)
    ends = [saved(tmp_path / name) for name in ("whole", "broken")]
    assert all(torch.equal(*(end["state_dict"][name] for end in ends)) for name in ends[0]["state_dict"])
    callback = [end["callbacks"]["MovingAverage"] for end in ends]
    assert callback[0]["updates"] == callback[1]["updates"] == (12 if more else 20)


def test_accumulated_batches_are_one_step_of_the_average(tmp_path):
    module = trained(tmp_path, f"TRAIN.AVERAGE={DECAY}", "TRAIN.ACCUMULATE=2")
    steps = [step["weight"] for index, step in enumerate(module.after) if index % BATCHES in (1, 3, 4)]
    torch.testing.assert_close(saved(tmp_path)["state_dict"]["weight"], average(steps), rtol=1e-5, atol=1e-6)


def test_weights_alone_are_the_averages_wherever_they_are_saved(tmp_path):
    trained(tmp_path, f"TRAIN.AVERAGE={DECAY}", "TRAIN.SAVE.OPTIMIZER=none", "TRAIN.SAVE.KEEP=1")
    alone = [saved(tmp_path, name)["state_dict"]["weight"] for name in (LAST, "epoch_3.step_20.ckpt")]
    trained(tmp_path / "whole", f"TRAIN.AVERAGE={DECAY}")
    assert all(torch.equal(weight, saved(tmp_path / "whole")["state_dict"]["weight"]) for weight in alone)


@pytest.mark.parametrize(("decay", "warned"), [(0.97, True), (0.95, False)])
def test_an_average_that_remembers_more_steps_than_there_are_is_told(tmp_path, caplog, decay, warned):
    """20, as a run knows that continues, too."""
    every = (f"TRAIN.AVERAGE={decay}", "TRAIN.SAVE.EVERY_STEPS=3", "TRAIN.SAVE.EVERY_EPOCHS=0")
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path, *every, broken_at=8)
    trained(tmp_path, *every, resume=LAST)
    told = [record.message for record in caplog.records if "TRAIN.AVERAGE" in record.message]
    assert len(told) == 2 * warned
    assert all("remembers about 33 steps, but the training has only 20" in message for message in told)


def test_weights_that_do_not_change_are_their_average_to_the_last_bit():
    """Of any number: statistics, of which there are hashes, and codebooks that rest."""
    module = nn.ParameterDict({"weight": nn.Parameter(torch.randn(10_000))})
    callback, trainer = MovingAverage(0.999, trial=True), type("Trainer", (), {"global_step": 0})()
    callback.on_train_start(trainer, module)
    for step in range(1, 30):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module, None, None, 0)
    assert torch.equal(callback._averages["weight"], module["weight"])


def test_sharded_weights_are_refused():
    trainer = type("Trainer", (), {"strategy": pl.strategies.FSDPStrategy()})()
    with pytest.raises(UserError, match="TRAIN.AVERAGE needs whole weights in every process: set TRAIN.STRATEGY=ddp"):
        MovingAverage(DECAY).setup(trainer, Path(), "fit")


def test_a_decay_of_one_follows_nothing():
    with pytest.raises(UserError, match="TRAIN.AVERAGE must be a decay below 1"):
        load_config("configs/deto.yaml", overrides=["TRAIN.AVERAGE=1.0"])
