"""A study to take part in."""

import shutil
from pathlib import Path

import pytest

from photochrom.study.study import Study


@pytest.fixture
def study(new_study: Path, tmp_path: Path):
    with Study.open(shutil.copy(new_study, tmp_path)) as study:
        yield study
