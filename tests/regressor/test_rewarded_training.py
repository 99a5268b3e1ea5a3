"""A regressor's training by rewards: what is logged, what a checkpoint keeps, and batches without clips."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from soke.data.dataset import MotionSample
from soke.regressor.module import RegressorModule
from soke.regressor.objectives import Objectives
from soke.run.callbacks import BatchSeed
from tests.regressor.helpers import CONFIG, batch_of, regressor, samples

SHARES = {"mse": 0.5, "plc": 0.5}


def trained(
    folder: Path, epochs: int, batches: list[list[MotionSample]], resume: Path | None = None, shares: dict = SHARES,
    **priority,
) -> tuple[RegressorModule, dict[str, float]]:
    """The module after so many epochs, and what was logged of the last."""
    objectives = Objectives(shares, replace(CONFIG.priority, **priority))
    module = RegressorModule(regressor(), replace(CONFIG.train.optim, schedule="constant"), objectives)
    checkpoint = pl.callbacks.ModelCheckpoint(folder, "last")
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, callbacks=[checkpoint, BatchSeed(1)],
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )
    trainer.fit(module, DataLoader(batches, batch_size=None, collate_fn=batch_of), ckpt_path=resume)
    return module, {name: value.item() for name, value in trainer.callback_metrics.items() if "/" in name}


@pytest.fixture
def batches() -> list[list[MotionSample]]:
    items = samples()
    return [items[:3], [], items[3:], items[1:4]] * 2


def test_rewards_are_logged_and_a_run_that_goes_on_is_the_same(tmp_path, batches):
    whole, logged = trained(tmp_path / "whole", 4, batches, window=16)
    assert logged["train/reward"] < 0 and 0 < logged["train/effective_share"] <= 1
    assert 0 < logged["train/skipped"] < 1
    trained(tmp_path / "half", 2, batches, window=16)
    resumed, again = trained(tmp_path / "rest", 4, batches, tmp_path / "half" / "last.ckpt", window=16)
    assert again == logged and resumed.objectives.channel.count == 4 * 2 * 8
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_equal_priorities_without_skipping_train_as_mse_does(tmp_path, batches):
    logged, plain = (
        trained(tmp_path / name, 2, batches, shares=shares, eta=0.0, quantile=0.0)[1]
        for name, shares in (("both", SHARES), ("mse", {"mse": 1.0}))
    )
    assert logged["train/effective_share"] == pytest.approx(1.0) and logged["train/skipped"] == 0
    assert plain == pytest.approx({name: logged[name] for name in plain}, rel=1e-5)
    assert set(logged) - set(plain) == {"train/effective_share", "train/skipped"}
