"""A studio, and a client of its service."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from photochrom import Colorizer
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import serving


@pytest.fixture
def studio(colorizer: Colorizer) -> Iterator[Studio]:
    with Studio(colorizer) as studio:
        yield studio


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving(studio) as client:
        yield client
