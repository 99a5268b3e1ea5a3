"""Products of few rows: what the layer itself computes, for every number of rows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from soke.generator.products import linear
from soke.run.config import ROOT


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 17])
@pytest.mark.parametrize("sizes", [(7, 5), (64, 33), (1024, 256)])
def test_equals_the_layer(rows, sizes):
    torch.manual_seed(rows)
    layer, inputs = nn.Linear(*sizes), torch.randn(rows, sizes[0])
    with torch.no_grad():
        torch.testing.assert_close(linear(layer, inputs), layer(inputs), atol=1e-5, rtol=1e-5)
        view = torch.randn(sizes[0], rows).t()  # not contiguous, as the product before leaves it
        torch.testing.assert_close(linear(layer, view), layer(view), atol=1e-5, rtol=1e-5)


def test_half_precision_is_left_to_the_layer():
    layer, inputs = nn.Linear(8, 4).bfloat16(), torch.randn(3, 8, dtype=torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(linear(layer, inputs), layer(inputs))


@pytest.mark.slow
def test_torch_keeps_its_number_of_threads():
    """In a process of its own, because numba takes OpenMP's over when it is first called."""
    code = (
        "import torch; from soke.generator.products import linear; layer = torch.nn.Linear(8, 8).requires_grad_(False);"
        "before = torch.get_num_threads(); linear(layer, torch.ones(1, 8)); print(before, torch.get_num_threads())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stderr
