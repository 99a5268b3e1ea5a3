from __future__ import annotations

import pytest

from soke.generator.model import SignGenerator
from tests.generator.helpers import make_generator


@pytest.fixture(scope="module")
def generator() -> SignGenerator:
    return make_generator()
