"""One photo that does not come to its end: signals, a limit of time, no room for drafts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from photochrom.cli.main import main

# --- one photo that does not come to its end ------------------------------------------------------


AMID = """
import os, signal, sys, time
import photochrom.photo.write as writing
from photochrom.cli.main import main
put = writing._put
def amid(*arguments):
    put(*arguments)  # the draft is there
    %s
writing._put = amid
sys.exit(main(sys.argv[1:]))
"""


def stopped(
    action: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AMID % action, "colorize", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
@pytest.mark.parametrize("to_stdout", [False, True])
def test_sigterm_leaves_nothing(photo: Path, tmp_path: Path, to_stdout: bool) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    target = "-" if to_stdout else out / "a.jpg"
    action = "os.kill(os.getpid(), signal.SIGTERM)"
    done = stopped(action, photo, "-o", target, TMPDIR=str(scratch))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "photochrom: interrupted\n")
    assert not list(scratch.iterdir()) and not list(out.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
def test_what_a_killed_run_left_is_removed_by_the_next(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = stopped("os.kill(os.getpid(), signal.SIGKILL)", photo, "-o", out / "a.jpg")
    (draft,) = out.iterdir()
    assert done.returncode == -signal.SIGKILL and draft.name.startswith(".photochrom-")
    parts = draft.name.split("-")
    kept = [
        draft.with_name("-".join([*parts[:2], str(os.getpid()), parts[3]])),  # of one at work
        draft.with_name("-".join([parts[0], "01234567", *parts[2:]])),  # on another machine
        draft.with_name(".photochrom-0123456789abcdef.jpg"),
    ]
    for path in kept:
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    assert main(["colorize", str(photo), "-o", str(out / "a.jpg")]) == 0
    assert draft.exists()  # it is too new
    os.utime(draft, (1, 1))
    assert main(["colorize", str(photo), "-o", str(out / "b.jpg")]) == 0
    assert sorted(out.iterdir()) == sorted(
        [out / "a.jpg", out / "b.jpg", out / "photochrom.jsonl", *kept]
    )


@pytest.mark.parametrize("to_stdout", [False, True])
def test_the_time_of_a_single_photo_is_limited(
    photo: Path, tmp_path: Path, to_stdout: bool
) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    target = "-" if to_stdout else out / "a.jpg"
    # In one call that no signal ends early, as one into a library would be.
    action = "import threading; threading.Lock().acquire() and time.sleep(500)"
    done = stopped(action, photo, "-o", target, "--timeout", "2", TMPDIR=str(scratch))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        f"photochrom: {photo}: took longer than 2 seconds; allow more time with --timeout\n"
    )
    assert not list(scratch.iterdir()) and not list(out.iterdir())


def test_a_photo_that_is_done_in_time_is_there(photo: Path, tmp_path: Path) -> None:
    done = stopped("pass", photo, "-o", tmp_path / "a.jpg", "--timeout", "1000")
    assert done.returncode == 0 and (tmp_path / "a.jpg").exists()


# --- no temporary folder --------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_temporary_folder_it_is_said_what_to_do(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setenv("TMPDIR", str(gone))
    monkeypatch.setattr("tempfile.tempdir", str(gone))
    wanted = f"the temporary folder {gone} cannot be used: "
    with photo.open("r") as stdin, monkeypatch.context() as m:
        m.setattr("sys.stdin", stdin)
        assert main(["colorize", "-", "-o", str(tmp_path / "a.jpg")]) == 1
        said = capsys.readouterr().err
        assert wanted in said and "stdin: " in said and "TMPDIR" in said
    with (tmp_path / "result").open("w") as stdout, monkeypatch.context() as m:
        m.setattr("sys.stdout", stdout)
        assert main(["colorize", str(photo), "-o", "-"]) == 1
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "result").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of files")
def test_a_full_temporary_folder_is_named(photo: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from photochrom.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "colorize"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    wanted = f"the temporary folder {tmp_path} cannot be used: "
    for arguments in (["-", "-o", str(tmp_path / "a.jpg")], [str(photo), "-o", "-"]):
        with photo.open("rb") as stream:
            done = subprocess.run(
                [*command, *arguments], stdin=stream, capture_output=True, env=environment
            )
        assert done.returncode == 1 and done.stdout == b""
        assert wanted in done.stderr.decode() and "TMPDIR" in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]


@pytest.mark.skipif(sys.platform == "win32", reason="TMPDIR is not asked there")
def test_a_large_photo_that_cannot_be_turned_names_the_temporary_folder(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.new("L", (4200, 4000), 90).save(tmp_path / "a.jpg", exif=exif)
    gone = tmp_path / "gone"
    done = subprocess.run(
        [sys.executable, "-m", "photochrom", "colorize", str(tmp_path / "a.jpg")],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(gone), "VIPS_DISC_THRESHOLD": "1k"},
    )
    assert done.returncode == 1
    assert f"a.jpg: the temporary folder {gone} cannot be used: " in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "photochrom.jsonl"}
