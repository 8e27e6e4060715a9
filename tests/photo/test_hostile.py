"""Mutants of photo files: each is read, or refused by name.

Never a crash, a hang, or a changed original.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from photochrom.errors import PhotoError
from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_photo
from tests.hostile import EXTENSIONS, GIGABYTE, limited, mutants

READ = 960  # mutants that are read, every fourth written again if it can be


def read_mutants(folder: str) -> None:
    """What the test below starts: prints how many were read, and how many refused."""
    counts: Counter[str] = Counter()
    for number, (extension, data) in enumerate(mutants(READ, seed=1)):
        path = Path(folder, f"mutant{extension}")
        path.write_bytes(data)
        Path(folder, "last").write_text(str(number))
        # A third of them as if they were huge, strip by strip; every page is read.
        limits = ReadLimits(stream_pixels=0) if number % 3 == 0 else LIMITS
        try:
            photo = read_photo(path, limits=limits)
            assert photo.pixels.shape[:2] == (photo.height, photo.width)
            for page in range(1, min(photo.pages, 4)):
                assert photo.turned_to(page).pixels.size
            counts["read"] += 1
            if number % 4 == 0 and photo.pixels.size < 1_000_000:
                rgb = np.broadcast_to(photo.pixels, (photo.height, photo.width, 3))
                target = Path(folder, f"result{EXTENSIONS[number // 4 % 4]}")  # AVIF is slow
                write_photo(target, rgb, photo, Output(force=True))
                assert read_photo(target).width == photo.width
        except PhotoError as error:
            counts["refused"] += 1
            message = str(error)
            assert message.startswith(folder) and ";" in message and "\n" not in message
        assert path.read_bytes() == data
    print(json.dumps(counts))


def test_mutants_are_read_or_refused_by_name(tmp_path: Path) -> None:
    code = "from sys import argv; from tests.photo.test_hostile import *; read_mutants(argv[1])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=limited(4 * GIGABYTE, 240),
    )
    where = f"at mutant {(tmp_path / 'last').read_text()}"
    assert done.returncode == 0, f"{where}: exit code {done.returncode}: {done.stderr[-2000:]}"
    assert done.stderr == "", where  # the libraries in C say nothing on their own
    counts = json.loads(done.stdout)
    assert counts["read"] + counts["refused"] >= READ
    assert min(counts.values()) > READ / 5  # it would prove nothing if all were of one kind
