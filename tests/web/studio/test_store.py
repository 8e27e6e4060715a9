"""The studio as a process: its folder, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from photochrom.cli.main import main
from photochrom.web.studio.cache import Cache
from photochrom.web.studio.store import Store
from tests.web.studio_client import encoded, gray_photo


class Command:
    """`photochrom studio` as a process of its own, with a folder for temporary files."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self.temporary = temporary
        command = [sys.executable, "-m", "photochrom", "studio", "--port", "0", "--no-browser"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[0]

    def folders(self) -> list[Path]:
        return sorted(self.temporary.glob("photochrom-studio-*"))

    def end(self, sign: int) -> int:
        self.process.send_signal(sign)
        self.rest = self.process.communicate()[0]
        return self.process.returncode


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    running: list[Command] = []

    def start(*arguments: str) -> Command:
        running.append(Command(tmp_path, *arguments))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def test_nothing_is_left_behind(command: Callable[..., Command]) -> None:
    data = encoded(gray_photo())
    killed = command()
    assert httpx.post(f"{killed.url}api/photos", content=data, trust_env=False).status_code == 201
    (folder,) = killed.folders()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (upload,) = (path for path in folder.iterdir() if path.name != "lock")
    assert stat.S_IMODE(upload.stat().st_mode) == 0o600 and upload.read_bytes() == data
    # The next removes what a killed one left, and not what a running one has.
    for sign, others in ((signal.SIGTERM, [folder]), (signal.SIGHUP, [])):
        if not others:
            killed.end(signal.SIGKILL)
            assert killed.folders() == [folder]
        server = command()
        assert server.folders() == others
        httpx.post(f"{server.url}api/photos", content=data, trust_env=False)
        httpx.post(f"{server.url}api/color", content=data, trust_env=False)
        assert len(server.folders()) == len(others) + 1
        assert server.end(sign) == 0 and server.rest.strip() == ""
        assert server.folders() == others


def test_ended_in_the_middle_of_work_it_says_nothing_and_leaves_nothing(
    command: Callable[..., Command],
) -> None:
    server = command("--threads", "1")
    data = encoded(gray_photo(3000, 4000), "JPEG")

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"{server.url}api/color", content=data, trust_env=False, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(ask)
        while not any(p.stat().st_size == len(data) for p in inside(server.temporary)):
            time.sleep(0.01)
        assert server.end(signal.SIGINT) == 0
    assert "Traceback" not in server.rest, server.rest
    assert server.folders() == []


def inside(temporary: Path) -> list[Path]:
    return [path for path in temporary.glob("photochrom-studio-*/*") if path.exists()]


@pytest.mark.slow
def test_wrong_options_are_said_before_anything_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, word in (
        (["--host", "0.0.0.0"], "--allow-network"),
        (["--max-mb", "0"], "above 0"),
        (["--size", "17"], "multiple"),
        (["--model", "none.onnx"], "no such model"),
    ):
        assert main(["studio", "--port", "0", "--no-browser", *arguments]) in (1, 2)
        said = capsys.readouterr()
        assert word in said.err and said.out == ""


def test_it_needs_no_module_that_windows_lacks_and_nothing_of_the_training() -> None:
    code = """
import builtins, sys
real = builtins.__import__
def watched(name, globals=None, *rest, **more):
    ours = str((globals or {}).get("__name__")).startswith("photochrom")
    if ours and name in ("fcntl", "resource", "termios"):
        raise ImportError(name)
    return real(name, globals, *rest, **more)
builtins.__import__ = watched
import photochrom.cli.studio, photochrom.web.studio.api, photochrom.web.studio.studio
print([name for name in sys.modules if name.startswith("photochrom.train")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_folder_without_a_lock_is_left_alone_and_a_stale_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    young, stale = tmp_path / "photochrom-studio-a", tmp_path / "photochrom-studio-b"
    for folder in (young, stale):
        folder.mkdir()
        (folder / "upload").write_bytes(b"x")
    (stale / "lock").touch()
    cache = Cache(1000, age=4.0)
    with Store(1, 1000, age=4.0, cache=cache) as store:
        assert sorted(tmp_path.iterdir()) == [young]
        mine = store.folder()
        with Store(1, 1000, age=4.0, cache=cache):
            assert mine.exists()  # as long as its store is there
    assert sorted(tmp_path.iterdir()) == [young]
