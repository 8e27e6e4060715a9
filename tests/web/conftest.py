"""A studio, a client of its service, and pages in a real browser.

Pictures of the screens go to the folder that PHOTOCHROM_SCREENSHOTS names, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from photochrom import Colorizer
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def studio(colorizer: Colorizer) -> Iterator[Studio]:
    with Studio(colorizer) as studio:
        yield studio


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving(studio) as client:
        yield client


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new person's browser; anything that goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_page(url: str, **options: Any) -> Page:
        contexts.append(chromium.new_context(**{"reduced_motion": "reduce", **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: "Security Policy" in m.text and wrong.append(m.text))
        root = url.partition("?")[0]
        origin = "/".join(root.split("/")[:3])
        ours = (root, "data:", f"blob:{origin}/")
        page.on("request", lambda r: r.url.startswith(ours) or wrong.append(r.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a picture of the screen; nothing may stick out of it."""
    folder = Path(os.environ.get("PHOTOCHROM_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert page.viewport_size is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]

    return take
