"""A colorizer for the tests of photos; what else they are made of is in `material`."""

from __future__ import annotations

import pytest

from photochrom import Colorizer


@pytest.fixture(scope="session")
def colorizer() -> Colorizer:
    return Colorizer(threads=1)
