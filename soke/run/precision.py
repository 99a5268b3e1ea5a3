"""In which precision is computed: what is measured, and codes, in whole float32."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

_CONVOLUTIONS = torch.backends.cudnn.conv


@contextmanager
def whole_float32() -> Iterator[None]:
    """Neither autocast nor TF32, with which a GPU finds other codes than a CPU now and then."""
    before = products()
    with ExitStack() as without:
        for kind in ("cpu", "cuda"):
            without.enter_context(torch.autocast(kind, enabled=False))
        multiply("highest", "ieee")
        try:
            yield
        finally:
            multiply(*before)


def in_float32(step: Callable) -> Callable:
    """A module's method that computes in whole float32, and is not compiled: what it measures depends neither on
    TRAIN.PRECISION and TRAIN.TF32 nor on TRAIN.COMPILE."""

    @functools.wraps(step)
    def measured(self: Any, *arguments: Any) -> Any:
        with whole_float32(), torch.autocast(self.device.type, enabled=False), _eager():
            return step(self, *arguments)

    return measured


@contextmanager
def _eager() -> Iterator[None]:
    from torch.compiler import set_stance

    with set_stance("force_eager"):
        yield


def products() -> tuple[str, str]:
    """How float32 matrices and convolutions are multiplied."""
    return torch.get_float32_matmul_precision(), _CONVOLUTIONS.fp32_precision


def multiply(matrices: str, convolutions: str) -> None:
    """As `products` says it."""
    torch.set_float32_matmul_precision(matrices)
    _CONVOLUTIONS.fp32_precision = convolutions
