"""Learning rates by the step and by the epoch, against formulas written by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from soke.errors import UserError
from soke.run.config import load_config
from soke.run.folders import LAST, _check_epochs
from soke.run.optim import optimizers_of, set_steps
from soke.run.settings import Optim
from soke.settings import SettingsError
from tests.run.test_saving import BATCHES, config_of, trained

LR, LOWEST, STEPS = 0.5, 0.02, 12


def rates(settings: Optim, epochs: int, steps: int | None = None) -> list[float]:
    """Of so many epochs, or of so many steps where the schedule is told them, and the one after."""
    made = optimizers_of([nn.Parameter(torch.zeros(1))], settings, epochs)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    if steps is not None:
        set_steps(schedule, settings, steps)
    found = []
    for _ in range((epochs if steps is None else steps) + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def expected(schedule: str, s: int, warmup: int) -> float:
    """Of step s, from 0, as the settings say."""
    if s < warmup:
        return LR * (s + 1) / (warmup + 1)
    share = (s - warmup) / (STEPS - warmup)
    return {
        "cosine": LOWEST + (LR - LOWEST) * (1 + math.cos(math.pi * share)) / 2,
        "linear": LR + (LOWEST - LR) * share,
        "inverse_sqrt": LR * math.sqrt((warmup + 1) / (s + 1)),
        "constant": LR,
    }[schedule]


@pytest.mark.parametrize("warmup", [0, 1, 4])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "inverse_sqrt", "constant"])
def test_rates_by_the_step_are_those_of_the_formula(schedule, warmup):
    if schedule == "inverse_sqrt" and not warmup:
        with pytest.raises(SettingsError, match="set `warmup_steps`"):
            Optim(schedule=schedule, every="step")
        return
    settings = Optim(lr=LR, eta_min=LOWEST, schedule=schedule, every="step", warmup_steps=warmup)
    assert rates(settings, 3, STEPS) == pytest.approx([expected(schedule, s, warmup) for s in range(STEPS + 1)], rel=1e-12)


def test_warm_up_rises_linearly_then_the_cosine_falls():
    found = rates(Optim(lr=1.0, eta_min=0.2, warmup_epochs=3), 7)
    cosine = [0.2 + 0.8 * (1 + math.cos(math.pi * e / 4)) / 2 for e in range(5)]
    assert found == pytest.approx([0.25, 0.5, 0.75, *cosine])
    assert (found[3], found[5], found[7]) == pytest.approx((1.0, 0.6, 0.2))


def test_without_warm_up_the_cosine_covers_all_epochs():
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    plain = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5, 1e-6)
    made = optimizers_of([nn.Parameter(torch.zeros(1))], Optim(lr=1.0), 5)
    assert made["lr_scheduler"]["scheduler"].state_dict() == plain.state_dict()
    assert rates(Optim(lr=1.0, eta_min=0.0), 4) == pytest.approx(
        [(1 + math.cos(math.pi * e / 4)) / 2 for e in range(5)], abs=1e-9
    )


def test_a_trial_shorter_than_its_warm_up_runs():
    assert rates(Optim(lr=1.0, warmup_epochs=3), 1) == pytest.approx([0.25, 0.5])


def test_a_constant_rate_stays_after_its_warm_up():
    assert rates(Optim(lr=1.0, schedule="constant"), 3) == [1.0] * 4
    assert rates(Optim(lr=1.0, schedule="constant", warmup_epochs=3), 5) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_a_line_by_the_epoch():
    found = rates(Optim(lr=1.0, eta_min=0.0, schedule="linear"), 3)
    assert found == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_has_the_rates_of_all_its_steps(tmp_path, accumulate):
    """Down to the lowest with the last one: four epochs of so many steps each."""
    settings = ("SCHEDULE=linear", "EVERY=step", "ETA_MIN=0.0", "WARMUP_STEPS=2")
    module = trained(tmp_path, *(f"TRAIN.OPTIM.{s}" for s in settings), f"TRAIN.ACCUMULATE={accumulate}")
    each = math.ceil(BATCHES / accumulate)
    steps = [epoch * each + batch // accumulate for epoch in range(4) for batch in range(BATCHES)]
    left = 4 * each - 2
    assert module.rates == pytest.approx([0.1 * ((s + 1) / 3 if s < 2 else 1 - (s - 2) / left) for s in steps])


def test_a_run_that_is_extended_falls_on_from_where_it_is(tmp_path):
    """A line that had reached half of its height in two epochs of four, and then has five of seven to go."""
    line = ("TRAIN.OPTIM.SCHEDULE=linear", "TRAIN.OPTIM.EVERY=step", "TRAIN.OPTIM.ETA_MIN=0.0")
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path, *line, broken_at=2 * BATCHES)
    module = trained(tmp_path, *line, "TRAIN.END_EPOCH=7", resume="last.ckpt")
    assert module.rates == pytest.approx([0.05 * (1 - s / (5 * BATCHES)) for s in range(5 * BATCHES)])


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_run_whose_rate_has_come_to_nothing_is_not_extended(tmp_path, schedule, every):
    """It would learn nothing more; from any other rate it goes on."""
    shape = [f"TRAIN.OPTIM.{setting}" for setting in (f"SCHEDULE={schedule}", f"EVERY={every}")]
    longer = [*shape, "TRAIN.EXTEND=true", "TRAIN.END_EPOCH=7"]
    for lowest in ("0.0", "1e-6"):
        trained(tmp_path / lowest, *shape, f"TRAIN.OPTIM.ETA_MIN={lowest}")
    _check_epochs(config_of(tmp_path, *longer), tmp_path / "1e-6" / "checkpoints" / LAST)
    over = tmp_path / "0.0" / "checkpoints" / LAST
    _check_epochs(config_of(tmp_path, *shape), over)
    with pytest.raises(UserError, match="the learning rate is down to 0, .*choose another NAME and begin from .*TRAIN.INIT"):
        _check_epochs(config_of(tmp_path, *longer), over)


def test_a_warm_up_beyond_the_end_is_an_error(tmp_path):
    settings = ("TRAIN.OPTIM.EVERY=step", "TRAIN.OPTIM.WARMUP_STEPS=20")
    with pytest.raises(UserError, match=r"TRAIN.OPTIM.WARMUP_STEPS must be below the 20 steps that the training has"):
        trained(tmp_path, *settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["EVERY=step", "WARMUP_EPOCHS=2"], "TRAIN.OPTIM.WARMUP_EPOCHS must be 0 where TRAIN.OPTIM.EVERY is step"),
        (["WARMUP_STEPS=2"], "TRAIN.OPTIM.WARMUP_STEPS must be 0 where TRAIN.OPTIM.EVERY is epoch"),
        (["SCHEDULE=plateau", "EVERY=step"], "TRAIN.OPTIM.EVERY must be epoch for TRAIN.OPTIM.SCHEDULE=plateau"),
        (["SCHEDULE=inverse_sqrt"], "set TRAIN.OPTIM.WARMUP_EPOCHS"),
        (["LR=0"], "TRAIN.OPTIM.LR must be above 0, for with 0 nothing learns; TRAIN.FREEZE keeps"),
        (["LR=1e-7"], "TRAIN.OPTIM.ETA_MIN must be at most TRAIN.OPTIM.LR"),
    ],
)
def test_settings_that_say_nothing_are_errors(settings, problem):
    with pytest.raises(UserError) as caught:
        load_config("configs/deto.yaml", overrides=[f"TRAIN.OPTIM.{setting}" for setting in settings])
    assert problem in str(caught.value)
