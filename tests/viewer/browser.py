"""A real browser for the tests of pages."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# Drawn by the processor where there is no graphics card.
_FLAGS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
]


@contextmanager
def chromium() -> Iterator[object]:
    """A headless Chromium of the system's, as playwright's `Browser`; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright`")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()
