"""Fixtures shared by all tests."""
from __future__ import annotations

from pathlib import Path

import pytest

from soke.body.model import BodyModel, load_body_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The stand-in body with flat hands."""
    return load_body_model(ROOT / "deps" / "smpl_models", flat_hand_mean=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process is left with one of them when the others are done."""
    longest = ("test_chain.py", "test_simulated_gpu.py", "test_two_processes.py")
    items.sort(key=lambda item: item.path.name not in longest)
