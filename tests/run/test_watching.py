"""What is watched: every value against what it should be, and where the time goes."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from soke.build.trainer import new_trainer
from soke.run import watching
from soke.run.config import load_config
from soke.run.folders import Run
from soke.run.watching import PARTS, Clock, StepLog

PAUSE = 0.01  # seconds


class Slow(pl.LightningModule):
    """Pauses in each part for so many times PAUSE."""

    monitor, monitor_mode = "val/loss", "min"
    times = {"data": 1, "forward": 2, "backward": 3, "optimizer": 4, "validation": 8}

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.lasted = nn.Parameter(torch.ones(1)), []
        self.weight.register_hook(lambda gradient: self.pause("backward"))

    def pause(self, part: str) -> None:
        time.sleep(PAUSE * self.times[part])

    def on_train_epoch_start(self) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self.lasted.append(time.perf_counter() - self.began)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.pause("forward")
        return (self.weight * batch).mean()

    def optimizer_step(self, *arguments, **settings) -> None:
        self.pause("optimizer")
        super().optimizer_step(*arguments, **settings)

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.pause("validation")
        self.log("val/loss", 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def rows(folder: Path, column: str) -> list[dict[str, str]]:
    with (folder / "csv" / "metrics.csv").open(encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row[column]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of three epochs of six batches, each of them validated with one."""
    folder = tmp_path_factory.mktemp("slow")
    fixed = (f"FOLDER={folder}", "ACCELERATOR=cpu", "EVAL.EVERY_EPOCHS=1", "TRAIN.END_EPOCH=3", "LOGGER.EVERY_STEPS=3")
    config, module = load_config("configs/deto.yaml", overrides=[*fixed, "TRAIN.NUM_WORKERS=0"]), Slow()

    def collate(items: list[torch.Tensor]) -> torch.Tensor:
        module.pause("data")
        return torch.stack(items)

    numbers = list(torch.ones(12, 1))
    loaders = DataLoader(numbers, 2, collate_fn=collate), DataLoader(numbers, 12)
    new_trainer(Run(config, folder, None, debug=False), module).fit(module, *loaders)
    (folder / "lasted").write_text(" ".join(map(str, module.lasted)))
    return folder


def test_the_parts_of_an_epoch_add_up_to_it(folder):
    """Each at least its pauses, together the epoch, as a clock on the wall shows it, with what is saved at its end."""
    found, lasted = rows(folder, "time/epoch"), list(map(float, (folder / "lasted").read_text().split()))
    assert [int(row["epoch"]) for row in found] == [0, 1, 2] and [int(row["step"]) for row in found] == [6, 12, 18]
    for row, seconds in zip(found, lasted):
        parts = {part: float(row[f"time/{part}"]) for part in PARTS}
        assert sum(parts.values()) == pytest.approx(float(row["time/epoch"]), rel=1e-6)
        assert 0.99 * seconds <= float(row["time/epoch"]) < 1.5 * seconds + parts["saving"]
        for part, times in Slow.times.items():
            batches = {"validation": 1, "data": 5}.get(part, 6)  # an epoch's first batch may be read before it begins
            assert parts[part] >= 0.99 * PAUSE * times * batches
        assert parts["saving"] > 0


def test_milliseconds_of_a_step_are_of_the_steps_since_the_last_logging(folder):
    """Of six steps of an epoch twice three, together what the epoch has."""
    found = rows(folder, "step_ms/forward")
    assert [int(row["step"]) for row in found] == [3, 6, 9, 12, 15, 18]
    for first, second, epoch in zip(found[::2], found[1::2], rows(folder, "time/epoch")):
        for part in ("forward", "backward"):
            both = 3 * float(first[f"step_ms/{part}"]) + 3 * float(second[f"step_ms/{part}"])
            assert both == pytest.approx(1000 * float(epoch[f"time/{part}"]), rel=1e-6)
        assert float(first["step_ms/validation"]) == float(second["step_ms/validation"]) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no Linux")
def test_memory_is_that_of_the_process(folder):
    found = [float(row["memory/process"]) for row in rows(folder, "memory/process")]
    with open("/proc/self/status", encoding="ascii") as status:
        now = next(int(line.split()[1]) / 2**20 for line in status if line.startswith("VmRSS"))
    assert all(0.3 * now < value < 3 * now for value in found)


def test_tensorboard_has_what_the_table_has(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    wanted = {f"time/{part}" for part in (*PARTS, "epoch")} | {f"step_ms/{part}" for part in PARTS}
    assert wanted | {"train/lr", "train/grad_norm", "train/samples_per_second", "memory/process"} <= set(
        events.Tags()["scalars"]
    )


def test_accumulated_batches_are_one_step_and_all_samples_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watching.time, "perf_counter", lambda: now[0])
    log, lines = StepLog(2), []
    logger = SimpleNamespace(log_metrics=lambda values, step: lines.append((step, values)))
    module = SimpleNamespace(device=torch.device("cpu"))
    trainer = SimpleNamespace(
        global_step=0, is_global_zero=True, world_size=3, loggers=[logger], current_epoch=7, model=module
    )
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.05, "factor": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    log.on_train_start(trainer, module)
    for index in range(6):  # two batches of 5 clips a step, of 8 frames each
        now[0] += 0.5
        if index % 2:
            log.on_before_optimizer_step(trainer, module, optimizer)
            trainer.global_step += 1
        batch = SimpleNamespace(lengths=torch.full((5,), 8), unit="frames")
        log.on_train_batch_end(trainer, module, None, batch, index)
    ((step, values),) = lines
    assert step == 2 and values["epoch"] == 7
    found = {name.removeprefix("train/"): value for name, value in values.items() if name.startswith("train/")}
    assert found == {  # four batches in two seconds, on each of three processes
        "lr": 0.5, "lr_0.1": 0.05, "grad_norm": 13.0, "samples_per_second": 3 * 20 / 2, "frames_per_second": 3 * 160 / 2,
    }


def test_what_is_nested_counts_for_the_innermost(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watching.time, "perf_counter", lambda: now[0])
    clock = Clock()
    clock.begin(torch.device("cpu"))

    def passes(seconds: float) -> None:
        now[0] += seconds

    passes(1)
    with clock.profile("[LightningModule]Own.optimizer_step"):
        passes(2)
        with clock.profile("[Strategy]DDPStrategy.training_step"):
            passes(4)
        with clock.profile("[Callback]Own.training_step"):
            passes(8)
    clock.enter("validation")
    with clock.profile("[Strategy]DDPStrategy.batch_to_device"):
        passes(16)
    clock.leave()
    with clock.profile("save_checkpoint"):
        passes(32)
    assert clock.read(wait=True) == {
        "data": 0, "forward": 4, "backward": 0, "optimizer": 10, "validation": 16, "saving": 32, "other": 1,
    }


class Event:
    """A GPU's, which has done what it was asked for until `Event.done`, in seconds; the host is ahead of it."""

    now, done, waited, made = 0.0, 0.0, 0, 0

    def __init__(self, enable_timing: bool):
        assert enable_timing
        Event.made += 1

    def record(self) -> None:
        self.at = Event.now

    def query(self) -> bool:
        return self.at <= Event.done

    def synchronize(self) -> None:
        Event.waited, Event.done = Event.waited + 1, Event.now

    def elapsed_time(self, other: Event) -> float:
        assert self.query() and other.query()
        return 1000 * (other.at - self.at)


def test_a_gpu_is_read_later_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    clock = Clock()
    clock.begin(torch.device("cuda"))
    for step in range(100):
        for part, action in (("forward", "[Strategy]S.training_step"), ("backward", "[Strategy]S.backward")):
            with clock.profile(action):
                Event.now += {"forward": 1.0, "backward": 2.0}[part]
        Event.done = Event.now - 4.0  # a step and a third behind
        found = clock.read()
    assert Event.waited == 0 and Event.made < 12  # the same ones are used again and again
    assert (found["forward"], found["backward"]) == (99, 196)  # up to the last mark that has been reached
    found = clock.read(wait=True)
    assert (found["forward"], found["backward"], found["other"], Event.waited) == (100, 200, 0, 1)
