"""What both trainings share: the schedule, and what the configuration makes of the trainer."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from soke.build.trainer import new_trainer
from soke.errors import UserError
from soke.run.config import load_config
from soke.run.folders import Run, export
from soke.run.optim import optimizers_of
from soke.run.settings import Optim
from tests.run.test_optim import rates


class Line(pl.LightningModule):
    """Fits a weight to batches of numbers; logs scores[epoch] where there is one; `seen` is a weight like any other. The
    epoch broken_at, from 0, ends in an error."""

    monitor, monitor_mode = "val/score", "min"

    def __init__(self, optim: Optim = Optim(), scores: dict[int, float] | None = None, broken_at: int | None = None):
        super().__init__()
        self.weight, self.scores, self.optim = nn.Parameter(torch.zeros(3)), scores or {}, optim
        self.broken_at = broken_at
        self.register_buffer("seen", torch.tensor(0))
        self.norms: list[float] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if self.current_epoch == self.broken_at:
            raise RuntimeError("power cut")
        self.seen += 1
        return (batch - self.weight).pow(2).sum(1).mean()

    def size_of(self, batch: torch.Tensor) -> int:
        return len(batch)

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/loss", 1.0)

    def on_validation_epoch_end(self) -> None:
        if self.current_epoch + 1 in self.scores:
            self.log("val/score", self.scores[self.current_epoch + 1])

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.norms.append(self.weight.grad.norm().item())

    def configure_optimizers(self):
        return optimizers_of(self.parameters(), self.optim, self.trainer.max_epochs)


def run(
    folder: Path, *overrides: str, resume: bool = False, scores: dict[int, float] | None = None,
    broken_at: int | None = None,
) -> Line:
    """Trains a `Line` with the trainer of a configuration: per epoch four batches of two."""
    config = load_config(
        "configs/deto.yaml", overrides=[f"FOLDER={folder}", "ACCELERATOR=cpu", "LOGGER.TENSORBOARD=false", *overrides]
    )
    run = Run(config, folder, str(folder / "checkpoints" / "last.ckpt") if resume else None, debug=False)
    module = Line(config.train.optim, scores, broken_at)
    if scores is None:
        module.monitor = None
    numbers = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) * 100
    loader = DataLoader(numbers, batch_size=2)
    trainer = new_trainer(run, module)
    trainer.fit(module, loader, loader, ckpt_path=run.resume_from, weights_only=True)
    return module


def broken_and_resumed(folder: Path, broken_at: int, *overrides: str, scores: dict[int, float]) -> Line:
    with pytest.raises(RuntimeError, match="power cut"):
        run(folder, *overrides, scores=scores, broken_at=broken_at)
    return run(folder, *overrides, scores=scores, resume=True)


def test_clipping_bounds_the_norm(tmp_path):
    free = run(tmp_path / "a", "TRAIN.END_EPOCH=1")
    clipped = run(tmp_path / "b", "TRAIN.END_EPOCH=1", "TRAIN.GRAD_CLIP=0.5")
    assert min(free.norms) > 1
    assert clipped.norms == pytest.approx([0.5] * 4, rel=1e-4)


def test_accumulation_takes_one_step_for_several_batches(tmp_path):
    assert len(run(tmp_path, "TRAIN.END_EPOCH=1", "TRAIN.ACCUMULATE=3").norms) == 2  # the epoch's last step has one


def best(folder: Path) -> tuple[int, float]:
    """Batches seen, and the weight."""
    state = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    return int(state["seen"]), float(state["weight"][0])


EVERY_EPOCH = ("TRAIN.END_EPOCH=6", "EVAL.EVERY_EPOCHS=1")


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [({2: 0.5, 4: 0.3, 6: 0.4}, 4), ({3: 0.5}, 3), ({2: 0.5, 4: 0.6, 6: 0.1}, 6), ({2: math.nan, 4: 0.3}, 4)],
)
def test_the_best_of_the_epochs_with_a_score_is_kept(tmp_path, scores, chosen):
    run(tmp_path, *EVERY_EPOCH, scores=scores)
    assert best(tmp_path)[0] == 4 * chosen


def test_without_any_score_there_is_no_best(tmp_path):
    run(tmp_path, *EVERY_EPOCH, scores={})
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("broken_at", [2, 4, 5])
def test_a_resumed_run_keeps_best_score_rates_and_weights(tmp_path, broken_at, warmup):
    """Also the score of the epoch that was the last before the interruption."""
    settings, scores = (*EVERY_EPOCH, f"TRAIN.OPTIM.WARMUP_EPOCHS={warmup}"), {2: 0.5, 4: 0.3, 5: 0.6, 6: 0.4}
    whole = run(tmp_path / "whole", *settings, scores=scores)
    again = broken_and_resumed(tmp_path / "broken", broken_at, *settings, scores=scores)
    assert torch.equal(again.weight, whole.weight)
    assert best(tmp_path / "broken") == best(tmp_path / "whole")
    assert best(tmp_path / "whole")[0] == 16


class Lines(Line):
    """Two of them that have nothing to do with each other, each with a score of its own."""

    monitor = {"first": "val/first", "second": "val/second"}
    logs = ({2: 0.5, 3: 0.1, 6: 0.4}, {1: 0.9, 4: 0.3, 5: 0.3})

    def __init__(self, optim: Optim):
        super().__init__(optim)
        self.first, self.second = Line(optim), Line(optim)
        self.exported: dict[str, torch.Tensor] | None = None

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        """Norms are no matter here."""

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return self.first.training_step(batch, index) + self.second.training_step(batch, index)

    def on_validation_epoch_end(self) -> None:
        for name, scores in zip(("first", "second"), self.logs):
            if self.current_epoch + 1 in scores:
                self.log(f"val/{name}", scores[self.current_epoch + 1])

    def provenance(self) -> dict[str, str]:
        return {"of": "lines"}

    def export(self, folder: Path) -> None:
        self.exported = {name: value.clone() for name, value in self.state_dict().items()}


@pytest.mark.parametrize("broken_at", [None, 3, 5])
def test_independent_submodules_are_exported_each_at_its_best(tmp_path, monkeypatch, broken_at):
    """The first of epochs that are equally good; a run that was broken off exports the same."""
    config = load_config("configs/deto.yaml", overrides=[f"FOLDER={tmp_path}", "ACCELERATOR=cpu", *EVERY_EPOCH])
    loader = DataLoader(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), batch_size=2)

    def trained(resume: str | None = None) -> Lines:
        run, module = Run(config, tmp_path, resume, debug=False), Lines(Optim(lr=0.1))
        trainer = new_trainer(run, module)
        trainer.fit(module, loader, loader, ckpt_path=resume, weights_only=True)
        export(run, module, trainer)
        return module

    if broken_at is None:
        module = trained()
    else:
        step = Lines.training_step

        def failing(self, batch, index):
            if self.current_epoch == broken_at:
                raise RuntimeError("power cut")
            return step(self, batch, index)

        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
            patch.setattr(Lines, "training_step", failing)
            trained()
        module = trained(str(tmp_path / "checkpoints" / "last.ckpt"))
    assert (int(module.exported["first.seen"]), int(module.exported["second.seen"])) == (4 * 3, 4 * 4)
    assert module.epochs == {"first": 2, "second": 3}
    assert json.loads((tmp_path / "provenance.json").read_text()) == {"of": "lines", "epochs": module.epochs}


def logged(folder: Path, name: str) -> list[float]:
    """What a run and those that continued it have logged by the step."""
    found = []
    for file in sorted(folder.glob("csv*/metrics.csv"), key=lambda path: path.parent.name):
        with file.open(encoding="utf-8") as stream:
            found += [float(line[name]) for line in csv.DictReader(stream) if line.get(name)]
    return found


STEPS = ("LOGGER.EVERY_STEPS=4", "EVAL.EVERY_EPOCHS=1")  # one log per epoch


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize(("first", "then"), [(4, 9), (3, 4), (9, 5)])
def test_a_run_that_is_extended_never_climbs_and_ends_at_the_lowest_rate(tmp_path, first, then, warmup):
    """After its schedule has ended, and in the midst of one, to which an interruption in the fourth epoch leads."""
    warm = f"TRAIN.OPTIM.WARMUP_EPOCHS={warmup}"
    with nullcontext() if first <= 4 else pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, *STEPS, warm, f"TRAIN.END_EPOCH={first}", broken_at=4)
    before = logged(tmp_path, "train/lr")
    run(tmp_path, *STEPS, warm, f"TRAIN.END_EPOCH={then}", resume=True)
    rates = logged(tmp_path, "train/lr")
    assert len(before) == min(first, 4) and len(rates) == then and rates[: len(before)] == before
    falling = rates[warmup:]
    assert all(a >= b for a, b in zip(falling, falling[1:])) and falling[0] == pytest.approx(2e-4)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(1e-6, rel=1e-3)
    if first == 9:  # in the midst: the rates still fall by themselves
        assert all(a > b for a, b in zip(falling, falling[1:]))


def test_rate_norm_and_speed_are_logged_every_so_many_steps(tmp_path):
    module = run(tmp_path, "TRAIN.END_EPOCH=3", "LOGGER.EVERY_STEPS=2", "TRAIN.GRAD_CLIP=0.5")
    assert logged(tmp_path, "train/lr") == pytest.approx(
        [rate for rate in rates(Optim(), 3)[:3] for _ in range(2)]
    )
    with (tmp_path / "csv" / "metrics.csv").open(encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line["train/grad_norm"]]
    assert [int(line["step"]) for line in lines] == [2, 4, 6, 8, 10, 12] and module.norms  # 4 steps per epoch
    assert min(logged(tmp_path, "train/grad_norm")) > 1  # not what clipping leaves of it
    assert min(logged(tmp_path, "train/samples_per_second")) > 0


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_wandb_says_what_to_install(tmp_path):
    with pytest.raises(UserError, match="LOGGER.WANDB=true needs wandb: `pip install wandb`"):
        run(tmp_path, "LOGGER.WANDB=true")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("LOGGER.EVERY_STEPS=0", "LOGGER.EVERY_STEPS must be at least 1, not 0"),
        ("TRAIN.GRAD_CLIP=-1", "TRAIN.GRAD_CLIP must be a gradient norm, or 0 for no clipping, not -1.0"),
        ("TRAIN.ACCUMULATE=0", "TRAIN.ACCUMULATE must be at least 1, not 0"),
        ("TRAIN.LABEL_SMOOTHING=1", "TRAIN.LABEL_SMOOTHING must be at least 0 and below 1, not 1.0"),
        ("TRAIN.OPTIM.WARMUP_EPOCHS=150", "must be at least 0 and below TRAIN.END_EPOCH (150), not 150"),
        ("TRAIN.PRECISION=bf16-mixd", "did you mean bf16-mixed?"),
        ("EVAL.GENERATE_EVERY=15", "EVAL.GENERATE_EVERY must be a multiple of EVAL.EVERY_EPOCHS (10)"),
        ("EVAL.GENERATE_EVERY=-10", "or 0 for never, not -10"),
        ("EVAL.GENERATE_CLIPS=0", "EVAL.GENERATE_CLIPS must be at least 1, not 0"),
    ],
)
def test_impossible_settings_are_named(override, expected):
    with pytest.raises(UserError, match=re.escape(expected)):
        load_config("configs/soke.yaml", overrides=[override])


def test_a_tokenizer_has_no_generation_to_time():
    load_config("configs/deto.yaml", overrides=["EVAL.EVERY_EPOCHS=7"])


@pytest.mark.parametrize(("kind", "made"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_optimisers_are_what_they_are_called(kind, made):
    found = optimizers_of([nn.Parameter(torch.zeros(1))], Optim(kind=kind, lr=0.5, betas=[0.1, 0.2], weight_decay=0.3), 1)
    assert type(found["optimizer"]) is made
    group = found["optimizer"].param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.5, (0.1, 0.2), 0.3)


PLATEAU = ("TRAIN.END_EPOCH=7", "EVAL.EVERY_EPOCHS=1", "TRAIN.OPTIM.SCHEDULE=plateau", "TRAIN.OPTIM.PATIENCE=1",
           "TRAIN.OPTIM.FACTOR=0.5", "TRAIN.OPTIM.LR=0.008", "LOGGER.EVERY_STEPS=4")


def test_a_plateau_halves_the_rate_after_the_second_validation_that_is_no_better_and_ends_at_the_lowest(tmp_path):
    scores = {1: 0.5, 2: 0.6, 3: 0.5, 4: 0.4, 5: 0.4, 6: 0.4, 7: 0.3}
    run(tmp_path / "whole", *PLATEAU, scores=scores)
    assert logged(tmp_path / "whole", "train/lr") == pytest.approx([0.008] * 3 + [0.004] * 3 + [0.002])
    run(tmp_path / "ended", *PLATEAU, "TRAIN.OPTIM.ETA_MIN=0.004", scores=scores)
    assert logged(tmp_path / "ended", "train/lr") == pytest.approx([0.008] * 3)


@pytest.mark.parametrize("broken_at", [2, 3, 5])
def test_a_resumed_plateau_is_the_same(tmp_path, broken_at):
    scores = {1: 0.5, 2: 0.6, 3: 0.5, 4: 0.4, 5: 0.4, 6: 0.4, 7: 0.3}
    whole = run(tmp_path / "whole", *PLATEAU, scores=scores)
    again = broken_and_resumed(tmp_path / "broken", broken_at, *PLATEAU, scores=scores)
    assert torch.equal(again.weight, whole.weight)
    assert logged(tmp_path / "broken", "train/lr") == logged(tmp_path / "whole", "train/lr")
