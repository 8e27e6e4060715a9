"""Folders of broken, malicious or oddly named files: a named error each, or a good result.

Never a crash, a hang, a half-written file, or a changed original.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import pyvips
import tifffile

from photochrom.batch.manifest import MANIFEST
from photochrom.errors import PhotoError
from photochrom.photo.read import read_photo
from tests.hostile import GIGABYTE, chunk, limited, mutants, png

COMMAND = 48  # mutants that go through the command


# --- through the command --------------------------------------------------------------------------


def tree(folder: Path) -> dict[bytes, str]:
    """SHA-256 of all ordinary files by name; names as bytes, for not all are text."""
    found = {}
    for here, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(here, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, os.fsencode(folder))] = hashlib.sha256(
                        file.read()
                    ).hexdigest()
    return found


def colorize(
    *arguments: object, memory: int = 6 * GIGABYTE, file_size: int | None = None
) -> subprocess.CompletedProcess[str]:
    def limits() -> None:
        limited(memory, 300)()
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    command = [sys.executable, "-m", "photochrom", "colorize", *map(str, arguments)]
    if "--workers" not in command:
        command += ["--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limits)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert "Traceback" not in done.stderr and "unexpectedly" not in done.stderr
    return done


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / MANIFEST).read_bytes().splitlines()]


def photo(path: Path, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", (40, 30), shade).save(path)
    return path


def test_mutants_in_a_folder_fail_alone_and_by_name(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number, (extension, data) in enumerate(mutants(COMMAND, seed=2)):
        (scans / f"{number:03}{extension}").write_bytes(data)
    before = tree(scans)
    done = colorize(scans, "-o", out, "--color", "recolor")
    assert tree(scans) == before
    told = {line["source"]: line for line in lines(out)}
    assert len(told) == len(lines(out)) == COMMAND
    failed = {Path(source).name for source, line in told.items() if line["error"]}
    assert COMMAND / 5 < len(failed) < COMMAND * 4 / 5
    assert f"{COMMAND - len(failed)} done, {len(failed)} failed" in done.stderr
    for name in failed:
        assert f"{name}: " in done.stderr
    results = {path.name for path in out.iterdir()} - {MANIFEST}
    assert results == {path.name for path in scans.iterdir()} - failed
    for name in results:
        assert read_photo(out / name).pixels.shape[2] == 3


def damaged_avif() -> bytes:
    """Of which libvips quotes bytes that are no UTF-8: it needs a property that is not known."""
    image = pyvips.Image.black(64, 48, bands=3).copy(interpretation="srgb")
    whole = bytes(image.heifsave_buffer(compression="av1", effort=0))
    assert whole.count(b"pixi") == whole.count(b"\x03\x81\x02\x03") == 1
    return whole.replace(b"pixi", b"pix\xf4").replace(b"\x03\x81\x02\x03", b"\x03\x81\x02\x83")


def test_what_libvips_quotes_of_a_damaged_file_spoils_no_other(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name in ("b.png", "c.tif", "d.jpg"):
        photo(scans / name)
    (scans / "a.avif").write_bytes(damaged_avif())
    done = colorize(scans, "-o", out, "--workers", "1")
    assert "3 done, 1 failed" in done.stderr
    assert "a.avif: cannot be read: " in done.stderr and r"pix\xf4" in done.stderr
    with pytest.raises(PhotoError, match=r"a\.avif: cannot be read: "):
        read_photo(scans / "a.avif")
    assert read_photo(scans / "b.png").width == 40


def test_names_in_any_script_and_of_any_bytes(tmp_path: Path) -> None:
    names = [
        "été 写真 фото תמונה 📷.png",
        "new\nline.png",
        "escape\x1b[31m.png",
        "tab\tquote\"'`$(touch pwned).png",
        "-o.png",
        "--force.png",
        "%s{0}\\n.png",
        "scan[1].png",
        " .png",
        '{"source": "a"}.png',
        os.fsdecode(b"latin1 \xe9t\xe9.png"),
        "n" * 251 + ".png",
    ]
    scans, out = tmp_path / "scans", tmp_path / "out"
    bad = "bad\n\x1b[2J\udce9.png"
    for name in names:
        photo(scans / "sub\nfolder" / name)
    (scans / bad).write_bytes(b"broken")
    before = tree(scans)
    done = colorize(scans, "-o", out, "-v")
    assert f"{len(names)} done, 1 failed" in done.stderr
    assert tree(scans) == before
    results = {path.name for path in (out / "sub\nfolder").iterdir()}
    assert results == set(names)
    assert {line["result"] for line in lines(out)} == {f"sub\nfolder/{n}" for n in names} | {bad}
    # One line each, and nothing that a terminal would obey.
    assert len(done.stdout.splitlines()) == len(names)
    assert "\x1b" not in done.stdout + done.stderr
    assert "bad\\n\\x1b[2J\\udce9.png: not a JPEG" in done.stderr
    assert f"{len(names)} already done" in colorize(scans, "-o", out).stderr


def test_links_pipes_and_wrong_extensions(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    original = photo(tmp_path / "elsewhere/a.png")
    photo(scans / "b.png").rename(scans / "b.jpg")  # a PNG by its content
    (scans / "link.png").symlink_to(original)
    (scans / "dangling.png").symlink_to("nowhere.png")
    (scans / "loop.png").symlink_to("loop.png")
    (scans / "device.png").symlink_to("/dev/zero")
    (scans / "text.tif").write_text("dear diary")
    (scans / "folder.png").mkdir()
    (scans / "up").symlink_to("..")
    os.mkfifo(scans / "pipe.jpg")
    before = tree(tmp_path)
    done = colorize(scans, "-o", out)
    assert "2 done, 5 failed" in done.stderr
    for name in ("dangling.png", "loop.png", "device.png", "text.tif", "pipe.jpg"):
        assert f"{scans / name}: " in done.stderr
    assert f"{scans / 'up'}: skipped, because it is a link to a folder" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "link.png", MANIFEST]
    assert not (out / "link.png").is_symlink()
    assert (out / "b.jpg").read_bytes().startswith(b"\xff\xd8")
    after = {name: h for name, h in tree(tmp_path).items() if not name.startswith(b"out/")}
    assert after == before


def test_bombs_cost_neither_memory_nor_the_other_photos(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    photo(scans / "a.png")
    photo(scans / "z.png")
    pack = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    packed = b"".join(pack.compress(zeros) for _ in range(300)) + pack.flush()
    small = zlib.compress(bytes(9 * 8))
    (scans / "pixels.png").write_bytes(png(100_000, 100_000, packed))
    (scans / "length.png").write_bytes(png(60_000_000, 8, packed))
    (scans / "more.png").write_bytes(png(8, 8, packed))
    (scans / "text.png").write_bytes(png(8, 8, small, chunk(b"zTXt", b"a\0\0" + packed)))
    (scans / "xmp.png").write_bytes(
        png(8, 8, small, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed))
    )
    (scans / "icc.png").write_bytes(png(8, 8, small, chunk(b"iCCP", b"a\0\0" + packed)))
    # A directory that is its own successor, and one of 65,535 entries.
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((16, 16), np.uint8))
    tiff = bytearray(file.getvalue())
    at = int.from_bytes(tiff[4:8], "little")
    entries = int.from_bytes(tiff[at : at + 2], "little")
    tiff[at + 2 + 12 * entries : at + 6 + 12 * entries] = tiff[4:8]
    (scans / "circle.tif").write_bytes(tiff)
    tiff[at : at + 2] = b"\xff\xff"
    (scans / "entries.tif").write_bytes(tiff)
    before = tree(scans)
    done = colorize(scans, "-o", out, memory=3 * GIGABYTE)
    assert tree(scans) == before
    for name, words in (
        ("pixels.png", "has 100000 x 100000 pixels, over the limit"),
        ("length.png", "has 60000000 x 8 pixels, over the limit"),
    ):
        assert f"{scans / name}: {words}" in done.stderr
    assert {"a.png", "z.png"} <= {path.name for path in out.iterdir()}
    assert len(lines(out)) == 10 and "died" not in done.stderr


def test_a_photo_too_large_for_the_memory_fails_alone(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name in ("a.png", "b.png", "y.png", "z.png"):
        photo(scans / name)
    # Large, and read by strips: its lightness alone would be 400 MB, its colors 300 MB.
    PIL.Image.new("L", (10_000, 10_000)).save(scans / "large.png")
    # An interlaced file cannot be read by strips; this one would be 2.4 GB.
    header = (20_000).to_bytes(4, "big") * 2 + b"\x10\x02\0\0\x01"
    data = chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    (scans / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data)
    done = colorize(scans, "-o", out, "--workers", 2, memory=GIGABYTE)
    assert "5 done, 1 failed" in done.stderr
    assert f"{scans / 'huge.png'}: " in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "a.png", "b.png", "large.png", MANIFEST, "y.png", "z.png",
    ]  # fmt: skip


# --- a place that does not take it ----------------------------------------------------------------


@pytest.mark.parametrize("limit", [30_000, 700, 100])
def test_a_full_disk_is_an_error_a_photo_and_nothing_is_half_written(
    tmp_path: Path, limit: int
) -> None:
    # The limit on the size of a file fails a write midway, as a full disk does. The first lets the
    # manifest and small results pass, the second not a whole line, the third not half of one.
    scans, out = tmp_path / "scans", tmp_path / "out"
    photo(scans / "small.png")
    noise = np.random.default_rng(0).integers(0, 256, (150, 150), np.uint8)
    for name in ("large.png", "large.tif"):
        PIL.Image.fromarray(noise).save(scans / name)
    before = tree(scans)
    done = colorize(scans, "-o", out, file_size=limit)
    assert done.returncode == 1
    failed = {"large.png", "large.tif"} | ({"small.png"} if limit < 30_000 else set())
    for name in failed:
        assert f"{out / name}: cannot be written: " in done.stderr
    assert {path.name for path in out.iterdir()} == {
        MANIFEST, "large.png", "large.tif", "small.png",
    } - failed  # fmt: skip
    assert tree(scans) == before
    # When there is space again, all is done.
    assert "0 failed" in colorize(scans, "-o", out).stderr
    assert len(list(out.iterdir())) == 4


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    photo(scans / "sub/a.png")
    photo(scans / "b.png")
    (tmp_path / "file").touch()
    done = colorize(scans, "-o", tmp_path / "file/out")
    assert done.returncode == 1 and f"{tmp_path / 'file/out'}" in done.stderr
    # A file stands where a folder is needed: only the photos below it fail.
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub").write_bytes(b"precious")
    done = colorize(scans, "-o", out)
    assert "1 done, 1 failed" in done.stderr and f"{out / 'sub/a.png'}: its folder" in done.stderr
    assert (out / "sub").read_bytes() == b"precious"
