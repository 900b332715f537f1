"""A real Chromium without a screen, driven by Playwright; without them these tests are skipped.

``apt-get install chromium`` and ``pip install playwright`` are enough: no browser is downloaded.
``LEGSEG_CHROMIUM`` names another program.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Opened, opened_in

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the package playwright is not installed"
    )
    asked = os.environ.get("LEGSEG_CHROMIUM")
    program = asked or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium was found ({', '.join(NAMES)}); set LEGSEG_CHROMIUM")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def shared(browser: Any, path: Path) -> Iterator[Any]:
    """The page of a module's fixture ``path``, opened once for all its tests."""
    found = opened_in(browser, path)
    yield found
    found.page.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Open pages that are closed at the end of the test."""
    opened: list[Any] = []

    def open_it(path: Path, **options: Any) -> Opened:
        opened.append(opened_in(browser, path, **options))
        return opened[-1]

    yield open_it
    for found in opened:
        found.page.close()
