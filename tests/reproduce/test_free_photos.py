from __future__ import annotations

import importlib.util
import io
from pathlib import Path

from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "free_photos.py"


def test_photos_are_found_in_resource_files_and_drawings_are_not() -> None:
    spec = importlib.util.spec_from_file_location("free_photos", SCRIPT)
    assert spec is not None and spec.loader is not None
    free_photos = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(free_photos)
    files = []
    for alpha, side in ((255, 200), (90, 200), (255, 100)):
        image = Image.effect_noise((side, side), 50).convert("RGB")
        image.putalpha(alpha)
        file = io.BytesIO()
        (image if alpha < 255 else image.convert("RGB")).save(file, "WEBP", lossless=True)
        files.append(file.getvalue())
    found = list(free_photos.pictures(b"qres\0" + b"RIFF....".join(files) + b"end"))
    assert found == files
    assert [free_photos.is_photo(f) for f in found] == [True, False, False]
