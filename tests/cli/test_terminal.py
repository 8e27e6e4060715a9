"""Streams of the command: an image and nothing else on stdout."""

import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from photochrom.cli.main import main
from photochrom.photo.read import read_photo


def stream(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "photochrom", "colorize", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_stdin_to_stdout_is_the_image_and_nothing_else_in_the_same_format(
    photo: Path, tmp_path: Path, kind: str
) -> None:
    source, expected = tmp_path / f"s.{kind}", tmp_path / f"e.{kind}"
    with PIL.Image.open(photo) as image:
        image.save(source)
    assert main(["colorize", str(source), "-o", str(expected)]) == 0
    ways = [(["-"], source.read_bytes())]
    if kind == "jpg":  # the other ways are the same for each format
        ways += [(["-", "-o", "-"], source.read_bytes()), ([str(source), "-o", "-"], b"")]
    for arguments, data in ways:
        done = stream(*arguments, stdin=data)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == expected.read_bytes()


def test_stdin_to_a_file(photo: Path, tmp_path: Path) -> None:
    done = stream("-", "-o", str(tmp_path / "new.png"), stdin=photo.read_bytes())
    assert done.returncode == 0
    assert read_photo(tmp_path / "new.png").pixels.shape == (100, 150, 3)


@pytest.mark.parametrize("data", [b"", b"no photo", b"\xff\xd8\xff broken"])
def test_bad_bytes_on_stdin_are_a_named_error(data: bytes) -> None:
    done = stream("-", stdin=data)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"photochrom: stdin: ")
    assert b"Traceback" not in done.stderr


def test_a_stream_is_one_photo(photo: Path, tmp_path: Path) -> None:
    for arguments in (
        ["-", str(photo)],
        [str(photo), "-", "-o", "out/"],
        [str(tmp_path), "-o", "-"],
        ["-", "-o", f"{tmp_path}/"],
        ["-", "--dry-run"],
    ):
        done = stream(*arguments, stdin=photo.read_bytes())
        assert (done.returncode, done.stdout) == (2, b"")
    assert list(tmp_path.iterdir()) == [photo]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("arguments", "closed", "code", "said"),
    [
        ("- -o {out}", "<&-", 2, "photochrom: -: stdin is closed; use < photo.jpg, or a pipe\n"),
        ("{photo} -o -", ">&-", 2, "photochrom: -: stdout is closed; use > color.jpg, or a pipe\n"),
        ("{photo} -o {out}", "<&- >&-", 0, ""),
        ("{photo} {photo} -o {folder}/", "2>&-", 0, ""),
    ],
)
def test_closed_streams_are_told_or_not_needed(
    photo: Path, tmp_path: Path, arguments: str, closed: str, code: int, said: str
) -> None:
    names = {"photo": photo, "out": tmp_path / "new.png", "folder": tmp_path / "new"}
    command = f"{sys.executable} -m photochrom colorize {arguments.format(**names)} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
    assert names["out"].exists() == (said == "" and "{out}" in arguments)
    assert (names["folder"] / photo.name).exists() == ("{folder}" in arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_an_image_is_not_poured_into_a_terminal(photo: Path) -> None:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "photochrom", "colorize"]
    with os.fdopen(master, "rb", buffering=0), os.fdopen(slave, "rb+", buffering=0) as terminal:
        out = subprocess.run(
            [*command, str(photo), "-o", "-"], stdout=terminal, stderr=subprocess.PIPE
        )
        into = subprocess.run([*command, "-"], stdin=terminal, capture_output=True)
    assert (out.returncode, into.returncode) == (2, 2)
    assert b"terminal" in out.stderr and b"stdin is a terminal" in into.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_or_closed_stdout_is_an_error_without_traceback(photo: Path) -> None:
    command = [sys.executable, "-m", "photochrom", "colorize", str(photo), "-o", "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode() == f"photochrom: {photo}: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
