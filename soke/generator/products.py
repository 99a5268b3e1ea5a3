"""Matrix products of few rows on the CPU, which generation at small batch sizes consists of.

The libraries' kernels are made for many rows; with few, reading the weights is all that counts, and these read them
once, at the speed of the memory.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor, nn

_FEW = 4  # rows that one pass over the weights serves


def linear(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """layer(inputs) for inputs [N, in]; no gradients."""
    if type(layer) is not nn.Linear:  # one with an adapter computes more than its weight says
        return layer(inputs)
    if inputs.device.type != "cpu" or inputs.dtype != torch.float32 or torch.compiler.is_compiling():
        return layer(inputs)
    if len(inputs) > _FEW:
        # with the weights on the left the library is faster, up to three times for some numbers of rows
        return torch.addmm(layer.bias[:, None], layer.weight, inputs.t()).t()
    rows = np.zeros((_FEW, inputs.shape[1]), np.float32)
    rows[: len(inputs)] = inputs.numpy()
    outputs = np.empty((_FEW, layer.out_features), np.float32)
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(threads)  # numba's first call changes it, with OpenMP's, and later numbers in the last digit
    _few_rows(layer.weight.detach().numpy(), rows, layer.bias.detach().numpy(), outputs)
    return torch.from_numpy(outputs[: len(inputs)])


@numba.njit(parallel=True, fastmath=True, cache=True)
def _few_rows(weight: np.ndarray, rows: np.ndarray, bias: np.ndarray, outputs: np.ndarray) -> None:
    """outputs [4, out] = rows [4, in] times weight [out, in] transposed, plus bias."""
    for i in numba.prange(weight.shape[0]):
        a = b = c = d = np.float32(0)
        for j in range(weight.shape[1]):
            w = weight[i, j]
            a += w * rows[0, j]
            b += w * rows[1, j]
            c += w * rows[2, j]
            d += w * rows[3, j]
        outputs[0, i] = a + bias[i]
        outputs[1, i] = b + bias[i]
        outputs[2, i] = c + bias[i]
        outputs[3, i] = d + bias[i]
