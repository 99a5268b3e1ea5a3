"""In which precision is computed: what is measured, and the codes, in whole float32; training steps as they are fastest."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

_CONVOLUTIONS = torch.backends.cudnn.conv


@contextmanager
def whole_float32() -> Iterator[None]:
    """Neither autocast nor TF32, with which a GPU finds other codes than a CPU now and then."""
    before = _products()
    with ExitStack() as without:
        for kind in ("cpu", "cuda"):
            without.enter_context(torch.autocast(kind, enabled=False))
        _multiply("highest", "ieee")
        try:
            yield
        finally:
            _multiply(*before)


def in_float32(step: Callable) -> Callable:
    """A module's method that computes in whole float32, and is not compiled: what it measures depends neither on
    TRAIN.PRECISION and TRAIN.TF32 nor on TRAIN.COMPILE."""

    @functools.wraps(step)
    def measured(self: pl.LightningModule, *arguments: Any) -> Any:
        with whole_float32(), torch.autocast(self.device.type, enabled=False), _eager():
            return step(self, *arguments)

    return measured


class FastSteps(pl.Callback):
    """Multiplies in TF32 and runs compiled layers, while a training lasts.

    tf32:     on GPUs, products of float32 matrices round their factors to 10 bits
    compiled: what lies in a list of layers of the trained model is compiled, each kind once for all shapes
    """

    def __init__(self, tf32: bool, compiled: bool):
        self.tf32, self.compiled = tf32, compiled

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self._before = _products()
        _multiply(*(("high", "tf32") if self.tf32 else ("highest", "ieee")))
        for layer in layers_of(module.trained) if self.compiled else ():
            layer.compile()

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        _multiply(*self._before)


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """The entries of a model's module lists, the outermost ones."""
    for child in model.children():
        yield from child if isinstance(child, nn.ModuleList) else layers_of(child)


@contextmanager
def _eager() -> Iterator[None]:
    from torch.compiler import set_stance

    with set_stance("force_eager"):
        yield


def _products() -> tuple[str, str]:
    return torch.get_float32_matmul_precision(), _CONVOLUTIONS.fp32_precision


def _multiply(matrices: str, convolutions: str) -> None:
    torch.set_float32_matmul_precision(matrices)
    _CONVOLUTIONS.fp32_precision = convolutions
