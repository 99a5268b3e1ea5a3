"""Fixtures shared by all tests."""
from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from soke.body.model import load_body_model
from soke.body.smplx import BodyModel

ROOT = Path(__file__).resolve().parent.parent

# Laws are tried on the same few cases everywhere, however slow the machine is.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("quick")


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The stand-in body with flat hands."""
    return load_body_model(ROOT / "deps" / "smpl_models", flat_hand_mean=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process is left with one of them when the others are done."""
    longest = ("test_chain.py", "test_simulated_gpu.py", "test_two_processes.py", "test_chain_m3t.py", "test_stage.py")
    items.sort(key=lambda item: item.path.name not in longest)
