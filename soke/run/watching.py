"""What is watched while a training lasts: rates, gradients, speed, memory, and where the time goes."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler
from torch import nn

from soke.run.optim import gradients_of
from soke.run.sharding import whole

PARTS = ("data", "forward", "backward", "optimizer", "validation", "saving", "other")
_ENDS = {  # of Lightning's names of what it does -> part
    "].train_dataloader_next": "data", ".batch_to_device": "data", ".training_step": "forward", ".backward": "backward",
    ".optimizer_step": "optimizer", "save_checkpoint": "saving",
}
_GIB = 2**30


class Clock(Profiler):
    """Adds up the seconds of the parts of a training, which follow each other without a gap; what is nested counts for
    the innermost. On a GPU they are of its own time line, and it is not waited for: marks that it has not reached are
    read later."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._parts: dict[str, str | None] = {}  # by Lightning's name
        self._open: list[str] = []
        self._marks: deque[tuple[Any, str]] = deque()  # moments, and the part that begins with each
        self._free: list[torch.cuda.Event] = []
        self._on_gpu = False

    def begin(self, device: torch.device) -> None:
        """Counts from now on, from 0."""
        self._marks.clear()
        self._on_gpu, self.seconds = device.type == "cuda", dict.fromkeys(PARTS, 0.0)
        self._mark()

    def enter(self, part: str) -> None:
        self._open.append("validation" if "validation" in self._open else part)
        self._mark()

    def leave(self) -> None:
        self._open.pop()
        self._mark()

    def start(self, action_name: str) -> None:
        if action_name not in self._parts:
            found = [part for end, part in _ENDS.items() if action_name.endswith(end)]
            self._parts[action_name] = found[0] if found and not action_name.startswith("[Callback]") else None
        part = self._parts[action_name]
        if part is not None:
            self.enter(part)

    def stop(self, action_name: str) -> None:
        if self._parts[action_name] is not None:
            self.leave()

    def read(self, wait: bool = False) -> dict[str, float]:
        """The seconds of each part, up to the last mark that has been reached; wait: up to now."""
        if wait:
            self._mark()
            if self._on_gpu:
                self._marks[-1][0].synchronize()
        while len(self._marks) > 1 and (not self._on_gpu or self._marks[1][0].query()):
            (moment, part), (following, _) = self._marks.popleft(), self._marks[0]
            self.seconds[part] += moment.elapsed_time(following) / 1000 if self._on_gpu else following - moment
            if self._on_gpu:
                self._free.append(moment)
        return dict(self.seconds)

    def _mark(self) -> None:
        moment: Any = time.perf_counter()
        if self._on_gpu:
            moment = self._free.pop() if self._free else torch.cuda.Event(enable_timing=True)
            moment.record()
        self._marks.append((moment, self._open[-1] if self._open else "other"))


class StepLog(pl.Callback):
    """Logs every so many steps of the optimiser the learning rates (train/lr, that of weights with another factor as
    train/lr_<factor>), train/grad_norm before it is clipped, train/samples_per_second and what the batches are long of
    per second, GiB of memory (memory/process and memory/gpu_peak), and milliseconds per step of each part
    (step_ms/<part>); and of every epoch the seconds of each part, time/<part>, and time/epoch, their sum.

    What is per second counts the clips of all processes since the last logging, or since the epoch's begin, validation
    left out; memory and times are of process 0. Only steps that are logged wait for the device, and epochs' ends.
    """

    def __init__(self, every: int):
        self.every, self.clock = every, Clock()
        self._logged: dict[str, Any] | None = None  # of the step that is being taken
        self._samples, self._length, self._unit, self._since = 0, torch.zeros(()), "", 0.0
        self._step, self._spent = 0, dict.fromkeys(PARTS, 0.0)  # of the last logging
        self._epoch, self._begun = -1, 0  # that the clock counts, and the step that it began with

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._begin(trainer, module)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._epoch != trainer.current_epoch:
            self._close(trainer)
            self._begin(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._close(trainer)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.clock.enter("validation")

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.clock.leave()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if (trainer.global_step + 1) % self.every:
            return
        norm = nn.utils.get_total_norm(gradients_of(optimizer))
        self._logged = {"grad_norm": whole(norm), **_rates(optimizer)}

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._samples += len(getattr(batch, "lengths", batch))
        self._unit = getattr(batch, "unit", "")
        if self._unit:
            self._length = self._length.to(batch.lengths.device, non_blocking=True) + batch.lengths.sum()
        if self._logged is None:
            return
        logged, self._logged = self._logged, None
        if hasattr(trainer.model, "get_global_grad_norm"):  # DeepSpeed's, which knows it after its step
            logged["grad_norm"] = trainer.model.get_global_grad_norm()
        if trainer.is_global_zero:
            logged = {f"train/{name}": float(value) for name, value in logged.items()}
            self._log(trainer, {**logged, **self._speed(trainer), **self._step_times(trainer), **_memory(module.device)})
        self._samples, self._length, self._since = 0, torch.zeros_like(self._length), time.perf_counter()

    def _speed(self, trainer: pl.Trainer) -> dict[str, float]:
        each = trainer.world_size / (time.perf_counter() - self._since)
        found = {"train/samples_per_second": self._samples * each}
        return found | ({f"train/{self._unit}_per_second": float(self._length) * each} if self._unit else {})

    def _step_times(self, trainer: pl.Trainer) -> dict[str, float]:
        spent, steps = self.clock.read(), max(trainer.global_step - self._step, 1)
        found = {f"step_ms/{part}": 1000 * (spent[part] - self._spent[part]) / steps for part in PARTS}
        self._step, self._spent = trainer.global_step, spent
        return found

    def _begin(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.clock.begin(module.device)
        self._epoch, self._begun = trainer.current_epoch, trainer.global_step
        self._step, self._spent = trainer.global_step, dict.fromkeys(PARTS, 0.0)
        self._samples, self._length = 0, torch.zeros((), dtype=torch.int64, device=module.device)
        self._since = time.perf_counter()

    def _close(self, trainer: pl.Trainer) -> None:
        """Logs the times of the epoch that is over, what is saved at its end among them."""
        if trainer.is_global_zero and trainer.global_step > self._begun:
            seconds = self.clock.read(wait=True)
            times = {f"time/{part}": value for part, value in seconds.items()}
            self._log(trainer, {**times, "time/epoch": sum(seconds.values())})

    def _log(self, trainer: pl.Trainer, values: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({**values, "epoch": self._epoch}, trainer.global_step)


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    found = {}
    for group in optimizer.param_groups:
        for share in (1.0, group.get("rows", [0, 1.0])[1]):  # of the group, and of its first rows
            factor = f"{share * group.get('factor', 1.0):g}"
            found["lr" if factor == "1" else f"lr_{factor}"] = share * group["lr"]
    return found


def _memory(device: torch.device) -> dict[str, float]:
    """GiB that this process has in use, and the most that it had of the GPU's."""
    found = {}
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            found["memory/process"] = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _GIB
    except OSError:  # no Linux
        pass
    if device.type == "cuda":
        found["memory/gpu_peak"] = torch.cuda.max_memory_allocated(device) / _GIB
    return found
