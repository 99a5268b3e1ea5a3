"""The moving average of the weights, which is validated and exported in their place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from soke.errors import UserError
from soke.run.callbacks import steps_left

log = logging.getLogger(__name__)


def has_whole_weights(trainer: pl.Trainer) -> bool:
    """Whether every process has all of the model."""
    return isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy))


class MovingAverage(pl.Callback):
    """Follows the weights that learn, and the buffers that are saved, step by step of the optimiser: from those after the
    first step on, average = decay * average + (1 - decay) * weight. What does not change is its own average to the last
    bit, and of integers the last is taken.

    In a checkpoint `state_dict` are the averages; in one of a training that goes on, the weights are in this callback's
    state. (Lightning's WeightAveraging averages counters as well, keeps a second module with all that hangs on it, gives
    modules their weights back before they have scored what they generate, and writes weights alone without averages.)

    trial: whether the training may be too short for it without a word
    """

    def __init__(self, decay: float, trial: bool = False):
        self.decay, self.trial = decay, trial
        self._update = get_ema_multi_avg_fn(decay)
        self._weights: dict[str, Tensor] = {}  # of the module
        self._averages: dict[str, Tensor] = {}
        self._updates, self._step = 0, 0

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Raises UserError where processes hold parts of the weights."""
        if not has_whole_weights(trainer):
            raise UserError("TRAIN.AVERAGE needs whole weights in every process: set TRAIN.STRATEGY=ddp, or TRAIN.AVERAGE=0")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        loaded, self._weights = self._averages, _averaged(module)
        self._averages = {
            name: loaded[name].to(weight) if name in loaded else weight.detach().clone()
            for name, weight in self._weights.items()
        }
        self._step = trainer.global_step
        if not self.trial and trainer.is_global_zero:
            self._warn_of_few(trainer.global_step + steps_left(trainer))

    def _warn_of_few(self, steps: int) -> None:
        remembered = 1 / (1 - self.decay)
        if remembered > steps:
            log.warning(
                "TRAIN.AVERAGE=%g remembers about %.0f steps, but the training has only %d: what is exported is nearer to its "
                "first weights than to its last; choose less", self.decay, remembered, steps,
            )

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        averages, weights = list(self._averages.values()), list(self._weights.values())
        if self._updates:
            self._update(averages, weights, self._updates)
        else:
            torch._foreach_copy_(averages, weights)
        self._updates += 1

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.swap()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """The module gets the averages for its weights, or these back."""
        for weight, average in zip(self._weights.values(), self._averages.values()):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self._updates, "weights": {name: weight.detach() for name, weight in self._weights.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._updates = state_dict["updates"]

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        average = {id(weight): self._averages[name] for name, weight in self._weights.items()}
        state = module.state_dict(keep_vars=True)  # two names of one weight have one average
        checkpoint["state_dict"] = {name: average.get(id(value), value).detach() for name, value in state.items()}

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint["callbacks"].get(self.state_key)
        if saved is None:
            log.warning("TRAIN.AVERAGE: the checkpoint has no averages of its weights, which begin anew")
            return
        weights = saved["weights"]
        self._averages = {name: checkpoint["state_dict"][name] for name in weights}
        module.load_state_dict({**checkpoint["state_dict"], **_named_alike(module, weights)})


@contextmanager
def averages_in(trainer: pl.Trainer) -> Iterator[None]:
    """The module has the averages for its weights, where there are any."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, MovingAverage)]
    for callback in found:
        callback.swap()
    try:
        yield
    finally:
        for callback in found:
            callback.swap()


def _averaged(module: nn.Module) -> dict[str, Tensor]:
    """What is averaged, each once."""
    state, seen = module.state_dict(keep_vars=True), set()
    found = {}
    for name, value in state.items():
        learns = value.requires_grad if isinstance(value, nn.Parameter) else True
        if learns and value.is_floating_point() and id(value) not in seen:
            seen.add(id(value))
            found[name] = value
    return found


def _named_alike(module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights`, also under the other names that the module has for them."""
    state = module.state_dict(keep_vars=True)
    of = {id(state[name]): value for name, value in weights.items()}
    return {name: of[id(value)] for name, value in state.items() if id(value) in of}
