"""A photo for the command."""

from pathlib import Path

import PIL.Image
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "old.jpg"
    with PIL.Image.open(EXAMPLES / "castle.jpg") as image:
        image.convert("L").resize((150, 100)).save(path, quality=95)
    return path
