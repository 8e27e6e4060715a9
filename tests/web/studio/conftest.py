"""The studio's page in a real browser, against the real service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

expect.set_options(timeout=120_000)  # for a page that never gets there, not for a slow machine


@pytest.fixture(scope="session")
def server(serve_studio: Callable[..., Any]) -> Any:
    """A studio that all pages share."""
    return serve_studio("--port", "0", "--threads", "1")
