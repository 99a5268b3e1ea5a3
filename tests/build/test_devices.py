"""Devices that the configuration asks for, and those that are there."""
from __future__ import annotations

import pytest
import torch

from soke.build.devices import lightning_devices
from soke.errors import UserError
from soke.run.config import load_config


@pytest.mark.parametrize(
    ("gpus", "overrides", "expected"),
    [
        (0, ["ACCELERATOR=gpu"], "ACCELERATOR is gpu, but no GPU is visible: take ACCELERATOR=auto or cpu"),
        (2, ["DEVICE=[0, 2]"], r"DEVICE is \[0, 2\], but 2 GPUs are visible, the first of which is 0"),
        (2, ["DEVICE=3"], "DEVICE is 3, but 2 GPUs are visible"),
    ],
)
def test_gpus_that_are_not_there(monkeypatch, gpus, overrides, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=expected):
        lightning_devices(load_config("configs/soke.yaml", overrides=overrides))


def test_on_cpus_ids_and_numbers_stay(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for asked, devices in (("[3]", 1), ("4", 4)):
        config = load_config("configs/soke.yaml", overrides=["ACCELERATOR=cpu", f"DEVICE={asked}"])
        assert lightning_devices(config)["devices"] == devices
