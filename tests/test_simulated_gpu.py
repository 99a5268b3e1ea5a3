"""on_simulated_gpu.py, in a process of its own: its device would stay registered for all other tests."""

from __future__ import annotations

import subprocess
import sys

import pytest
from torch.utils import backend_registration

from soke.run.config import ROOT


@pytest.mark.slow
def test_the_whole_way_on_a_simulated_gpu():
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this version of torch cannot simulate a device")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", "tests/on_simulated_gpu.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
