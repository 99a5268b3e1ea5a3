"""The precision in which codes are found, the same on every device."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def whole_float32() -> Iterator[None]:
    """Neither autocast nor TF32, with which a GPU finds other codes than a CPU now and then."""
    convolutions = torch.backends.cudnn.conv
    products, before = torch.get_float32_matmul_precision(), convolutions.fp32_precision
    with ExitStack() as without:
        for kind in ("cpu", "cuda"):
            without.enter_context(torch.autocast(kind, enabled=False))
        torch.set_float32_matmul_precision("highest")
        convolutions.fp32_precision = "ieee"
        try:
            yield
        finally:
            convolutions.fp32_precision = before
            torch.set_float32_matmul_precision(products)
