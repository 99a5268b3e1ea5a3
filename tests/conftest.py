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
