"""Checkpoints: when they are written, which are kept, and that a run goes on from each as if it had not been broken."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from soke.build.trainer import new_trainer
from soke.data.datamodule import ResumableLoader
from soke.data.sampling import GroupedBatches
from soke.errors import UserError
from soke.run import saving
from soke.run.config import load_config
from soke.run.folders import LAST, Run, _checkpoint
from soke.run.optim import optimizers_of
from soke.run.training import EpochMeans

BATCHES = 5  # of two numbers each


class Noisy(pl.LightningModule):
    """Fits numbers with drawn noise. `broken_at`: the batch of the training, from 0, at which the power is cut."""

    monitor, monitor_mode = "val/loss", "min"

    def __init__(self, config, broken_at: int | None = None):
        super().__init__()
        self.weight, self.frozen = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("code", torch.zeros(3))
        self.register_buffer("seen", torch.tensor(0))
        self.optim, self.broken_at, self.rates, self.means = config.train.optim, broken_at, [], EpochMeans("train", ["loss"])
        self.logged: list[float] = []

    @property
    def running(self) -> dict[str, saving.Running]:
        return {"means": self.means}

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if int(self.seen) == self.broken_at:
            raise RuntimeError("power cut")
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        self.seen += 1
        self.code.lerp_(batch.mean(0), 0.5)
        loss = (batch + torch.randn_like(batch) - self.weight).pow(2).mean()
        self.means.add({"loss": loss}, len(batch))
        return loss

    def size_of(self, batch: torch.Tensor) -> int:
        return len(batch)

    def on_train_epoch_end(self) -> None:
        self.logged.append(float(self.means.log(self)["loss"]))

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/loss", (batch - self.weight).pow(2).mean())

    def configure_optimizers(self):
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return optimizers_of(trained, self.optim, self.trainer.max_epochs, self.monitor_mode)


class Numbers(pl.LightningDataModule):
    numbers = torch.randn(2 * BATCHES, 3, generator=torch.Generator().manual_seed(0)) * 10

    def train_dataloader(self) -> ResumableLoader:
        place = {"processes": self.trainer.world_size, "rank": self.trainer.global_rank}
        batches = GroupedBatches([1] * len(self.numbers), 2, seed=3, **place)
        return ResumableLoader(list(self.numbers), batch_sampler=batches, trainer=self.trainer)

    def val_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(list(self.numbers), batch_size=5)


def config_of(folder: Path, *overrides: str):
    fixed = (f"FOLDER={folder}", "ACCELERATOR=cpu", "LOGGER.TENSORBOARD=false", "EVAL.EVERY_EPOCHS=1", "TRAIN.END_EPOCH=4")
    return load_config("configs/deto.yaml", overrides=[*fixed, "TRAIN.OPTIM.LR=0.1", *overrides])


def trained(folder: Path, *overrides: str, broken_at: int | None = None, resume: str = "") -> Noisy:
    config = config_of(folder, *overrides)
    run = Run(config, folder, str(folder / "checkpoints" / resume) if resume else None, debug=False)
    module = Noisy(config, broken_at)
    new_trainer(run, module).fit(module, datamodule=Numbers(), ckpt_path=run.resume_from, weights_only=True)
    return module


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def saved(folder: Path, name: str = LAST) -> dict:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


SCHEDULES = {
    "cosine by the step": ("SCHEDULE=cosine", "EVERY=step", "WARMUP_STEPS=3"),
    "linear by the step": ("SCHEDULE=linear", "EVERY=step"),
    "inverse root": ("SCHEDULE=inverse_sqrt", "EVERY=step", "WARMUP_STEPS=4"),
    "constant by the step": ("SCHEDULE=constant", "EVERY=step", "WARMUP_STEPS=9"),
    "cosine by the epoch": ("SCHEDULE=cosine", "WARMUP_EPOCHS=1"),
    "linear by the epoch": ("SCHEDULE=linear",),
    "plateau": ("SCHEDULE=plateau", "PATIENCE=0"),
}


def resumed_is_whole(folder: Path, *overrides: str, broken_at: int) -> None:
    """Weights, means, rates, and the state of optimiser, schedule and best checkpoint."""
    whole = trained(folder / "whole", *overrides)
    with pytest.raises(RuntimeError, match="power cut"):
        trained(folder / "broken", *overrides, broken_at=broken_at)
    begun = saved(folder / "broken")["global_step"]
    again = trained(folder / "broken", *overrides, resume=LAST)
    assert int(again.seen) == int(whole.seen) == 4 * BATCHES
    states = zip(again.state_dict().values(), whole.state_dict().values())
    assert all(torch.equal(ours, theirs) for ours, theirs in states)
    assert again.logged == whole.logged[-len(again.logged) :]
    assert again.rates == whole.rates[-len(again.rates) :] and len(again.rates) <= 4 * BATCHES - begun
    ends = [saved(folder / name) for name in ("whole", "broken")]
    for key in ("optimizer_states", "lr_schedulers"):
        assert str(ends[0][key]) == str(ends[1][key])
    best = [saved(folder / name, "best.ckpt") for name in ("whole", "broken")]
    assert best[0]["epoch"] == best[1]["epoch"] and torch.equal(*(b["state_dict"]["weight"] for b in best))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_that_continues_in_mid_epoch_becomes_what_it_would_have_been(tmp_path, name):
    """From step 6, the first of the second epoch."""
    schedule = [f"TRAIN.OPTIM.{key}" for key in SCHEDULES[name]]
    every = "TRAIN.SAVE.EVERY_STEPS=3", "TRAIN.SAVE.EVERY_EPOCHS=0"
    resumed_is_whole(tmp_path, *schedule, *every, broken_at=8)


def test_a_checkpoint_that_is_due_with_an_epochs_last_step_is_of_its_end(tmp_path):
    """Step 15: the validation and the best score are in it, and the epoch is not validated twice."""
    every = "TRAIN.SAVE.EVERY_STEPS=3", "TRAIN.SAVE.EVERY_EPOCHS=0"
    resumed_is_whole(tmp_path, *every, broken_at=17)


def test_accumulated_batches_are_whole_in_a_checkpoint(tmp_path):
    """Three steps per epoch, of 2, 2 and 1 batches; saved after the second step of an epoch."""
    every = "TRAIN.SAVE.EVERY_STEPS=5", "TRAIN.SAVE.EVERY_EPOCHS=0"
    resumed_is_whole(tmp_path, "TRAIN.ACCUMULATE=2", "TRAIN.OPTIM.EVERY=step", *every, broken_at=12)
    assert saved(tmp_path / "whole")["global_step"] == 4 * 3


def test_the_last_state_is_written_however_rarely_others_are(tmp_path):
    trained(tmp_path, "TRAIN.SAVE.EVERY_EPOCHS=0")
    assert files(tmp_path) == ["best.ckpt", "last.ckpt"] and saved(tmp_path)["global_step"] == 4 * BATCHES
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path / "other", "TRAIN.SAVE.EVERY_EPOCHS=2", broken_at=3 * BATCHES + 1)
    assert saved(tmp_path / "other")["epoch"] == 1  # the second, counted from 0


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"KEEP": 2}, [15, 20]), ({"KEEP": -1}, [5, 10, 15, 20]), ({"KEEP": 2, "EVERY_EPOCHS": 2}, [10, 20]),
        ({"KEEP": 3, "EVERY_STEPS": 4}, [15, 16, 20]), ({"KEEP": 9, "EVERY_STEPS": 8, "EVERY_EPOCHS": 0}, [8, 16, 20]),
    ],
)
def test_so_many_of_the_newest_are_kept(tmp_path, settings, steps):
    trained(tmp_path, *(f"TRAIN.SAVE.{key}={value}" for key, value in settings.items()))
    kept = saving.kept(tmp_path / "checkpoints")
    assert [path.name for path in kept] == [f"epoch_{(step - 1) // BATCHES}.step_{step}.ckpt" for step in steps]
    assert [saved(tmp_path, path.name)["global_step"] for path in kept] == steps
    assert kept[-1].stat().st_ino == (tmp_path / "checkpoints" / LAST).stat().st_ino  # no second file of 7 GB


def test_a_resumed_run_keeps_as_many_and_goes_on_from_any_of_them(tmp_path):
    every = "TRAIN.SAVE.KEEP=2", "TRAIN.SAVE.EVERY_STEPS=2", "TRAIN.SAVE.EVERY_EPOCHS=0"
    whole = trained(tmp_path, *every)
    assert files(tmp_path) == ["best.ckpt", "epoch_3.step_18.ckpt", "epoch_3.step_20.ckpt", "last.ckpt"]
    again = trained(tmp_path, *every, resume="epoch_3.step_18.ckpt")
    assert torch.equal(again.weight, whole.weight) and len(again.rates) == 2
    assert files(tmp_path) == ["best.ckpt", "epoch_3.step_18.ckpt", "epoch_3.step_20.ckpt", "last.ckpt"]


def test_what_is_written_last_is_kept_where_a_run_goes_on_from_an_earlier_one(tmp_path):
    every = "TRAIN.SAVE.KEEP=2", "TRAIN.SAVE.EVERY_STEPS=6", "TRAIN.SAVE.EVERY_EPOCHS=0"
    trained(tmp_path, *every[1:], "TRAIN.SAVE.KEEP=-1")
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path, *every, resume="epoch_1.step_6.ckpt", broken_at=14)
    names = [path.name for path in saving.kept(tmp_path / "checkpoints")]
    assert names == ["epoch_3.step_20.ckpt", "epoch_2.step_12.ckpt"]


@pytest.mark.parametrize("which", ["all", "last", "none"])
def test_checkpoints_have_the_optimisers_state_where_it_is_asked_for(tmp_path, which):
    trained(tmp_path, "TRAIN.SAVE.KEEP=1", f"TRAIN.SAVE.OPTIMIZER={which}")
    have = ["optimizer_states" in saved(tmp_path, name) for name in (LAST, "epoch_3.step_20.ckpt", "best.ckpt")]
    assert have == [which != "none", which == "all", False]
    if which == "none":
        sentence = r"TRAIN.RESUME: .*last.ckpt holds weights alone.*TRAIN.SAVE.OPTIMIZER"
        with pytest.raises(UserError, match=sentence):
            _checkpoint(tmp_path / "checkpoints" / LAST)


def test_a_module_says_after_which_steps_it_can_be_continued(tmp_path, monkeypatch):
    """Here after every fourth; what is due waits, at most for the end of the epoch."""
    monkeypatch.setattr(Noisy, "resumable", property(lambda self: int(self.seen) % 4 == 0), raising=False)
    trained(tmp_path, "TRAIN.SAVE.EVERY_STEPS=3", "TRAIN.SAVE.EVERY_EPOCHS=0", "TRAIN.SAVE.KEEP=-1")
    kept = [path.name.split("step_")[1] for path in saving.kept(tmp_path / "checkpoints")]
    assert kept == ["4.ckpt", "8.ckpt", "10.ckpt", "12.ckpt", "15.ckpt", "20.ckpt"]


def test_the_middle_of_an_epoch_needs_as_many_processes(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path, "TRAIN.SAVE.EVERY_STEPS=3", broken_at=4)
    path = tmp_path / "checkpoints" / LAST
    content = copy.deepcopy(saved(tmp_path))
    content["callbacks"]["MidEpoch"]["sums"] *= 2
    torch.save(content, path)
    with pytest.raises(UserError, match="2 processes have begun, not 1: continue with as many"):
        trained(tmp_path, resume=LAST)
