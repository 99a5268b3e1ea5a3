"""What both trainings share: the schedule, and what the configuration makes of the trainer."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from soke import build
from soke.config import load_config
from soke.errors import UserError
from soke.runs import Run
from soke.training import OptimSettings, adamw_with_cosine


class Line(pl.LightningModule):
    """Fits a weight to batches of numbers; logs scores[epoch] where there is one; `seen` is a weight like any other."""

    monitor, monitor_mode = "val/score", "min"

    def __init__(self, epochs: int = 1, scores: dict[int, float] | None = None):
        super().__init__()
        self.weight, self.scores, self.epochs = nn.Parameter(torch.zeros(3)), scores or {}, epochs
        self.register_buffer("seen", torch.tensor(0))
        self.norms: list[float] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.seen += 1
        return (batch - self.weight).pow(2).sum(1).mean()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val/loss", 1.0)

    def on_validation_epoch_end(self) -> None:
        if self.current_epoch + 1 in self.scores:
            self.log("val/score", self.scores[self.current_epoch + 1])

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.norms.append(self.weight.grad.norm().item())

    def configure_optimizers(self):
        return adamw_with_cosine(self.parameters(), OptimSettings(self.epochs))


def run(folder: Path, *overrides: str, resume: bool = False, scores: dict[int, float] | None = None) -> Line:
    """Trains a `Line` with the trainer of a configuration: per epoch four batches of two."""
    config = load_config(
        "configs/deto.yaml", overrides=[f"FOLDER={folder}", "ACCELERATOR=cpu", "LOGGER.TENSORBOARD=false", *overrides]
    )
    run = Run(config, folder, str(folder / "checkpoints" / "last.ckpt") if resume else None, debug=False)
    module = Line(config.TRAIN.END_EPOCH, scores)
    if scores is None:
        module.monitor = None
    numbers = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) * 100
    loader = DataLoader(numbers, batch_size=2)
    trainer = build.trainer(run, module)
    trainer.fit(module, loader, loader, ckpt_path=run.resume_from, weights_only=True)
    return module


def rates(settings: OptimSettings) -> list[float]:
    made = adamw_with_cosine([nn.Parameter(torch.zeros(1))], settings)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    found = []
    for _ in range(settings.epochs + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_warm_up_rises_linearly_then_the_cosine_falls():
    found = rates(OptimSettings(epochs=7, lr=1.0, eta_min=0.2, warmup_epochs=3))
    cosine = [0.2 + 0.8 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(5)]
    assert found == pytest.approx([0.25, 0.5, 0.75, *cosine])
    assert (found[3], found[5], found[7]) == pytest.approx((1.0, 0.6, 0.2))


def test_without_warm_up_the_cosine_covers_all_epochs():
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    plain = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5, 1e-6)
    made = adamw_with_cosine([nn.Parameter(torch.zeros(1))], OptimSettings(epochs=5, lr=1.0))
    assert made["lr_scheduler"]["scheduler"].state_dict() == plain.state_dict()
    assert rates(OptimSettings(epochs=4, lr=1.0, eta_min=0.0)) == pytest.approx(
        [(1 + math.cos(math.pi * e / 4)) / 2 for e in range(5)], abs=1e-9
    )


def test_a_trial_shorter_than_its_warm_up_runs():
    assert rates(OptimSettings(epochs=1, lr=1.0, warmup_epochs=3)) == pytest.approx([0.25, 0.5])


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
def test_a_resumed_run_keeps_best_score_rates_and_weights(tmp_path, monkeypatch, broken_at, warmup):
    """Also the score of the epoch that was the last before the interruption."""
    settings, scores = (*EVERY_EPOCH, f"TRAIN.OPTIM.WARMUP_EPOCHS={warmup}"), {2: 0.5, 4: 0.3, 5: 0.6, 6: 0.4}
    whole = run(tmp_path / "whole", *settings, scores=scores)
    step = Line.training_step

    def failing(self, batch, index):
        if self.current_epoch == broken_at:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(Line, "training_step", failing)
        run(tmp_path / "broken", *settings, scores=scores)
    again = run(tmp_path / "broken", *settings, scores=scores, resume=True)
    assert torch.equal(again.weight, whole.weight)
    assert best(tmp_path / "broken") == best(tmp_path / "whole")
    assert best(tmp_path / "whole")[0] == 16


@pytest.mark.parametrize(
    ("override", "expected"),
    [
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
