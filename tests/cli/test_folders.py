"""Folders through the command: the same results whoever works, stops or kills it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from photochrom.batch.manifest import MANIFEST
from photochrom.batch.plan import ALTERED
from photochrom.batch.work import Outcome
from photochrom.cli.folders import Progress
from photochrom.cli.main import main
from tests.batch.scans import DRAFT, draw, lines, states, tree


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "photochrom", "colorize", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


PHOTOS = 18  # in the archive, besides two that cannot be read


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all formats in folders, with two that cannot be read."""
    scans = tmp_path_factory.mktemp("archive") / "scans"
    for n in range(PHOTOS):
        suffix = ("jpg", "png", "tif", "webp", "jpg", "png")[n % 6]
        draw(scans / f"box {n % 3}/{n:02}.{suffix}", n, (90 + n, 120))
    (scans / "box 1/bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (scans / "empty.png").touch()
    return scans


@pytest.fixture(scope="module")
def undisturbed(archive: Path) -> dict[str, str]:
    """The results of a run that nothing disturbed."""
    out = archive.parent / "undisturbed"
    before = tree(archive)
    done = run(archive, "-o", out, "--workers", 2)
    assert done.returncode == 1
    assert f"{PHOTOS} done, 2 failed" in done.stderr
    assert "bad.jpg" in done.stderr and "empty.png" in done.stderr
    assert done.stdout == "" and "\r" not in done.stderr  # no bar where there is no terminal
    assert tree(archive) == before
    made = tree(out)
    assert len(made) == PHOTOS
    return made


def test_the_number_of_workers_and_shards_changes_no_byte(
    archive: Path, undisturbed: dict[str, str], out: Path
) -> None:
    assert run(archive, "-o", out, "--workers", 1, "--shard", "1/2").returncode in (0, 1)
    part = tree(out)
    assert 0 < len(part) < PHOTOS
    assert part.items() <= undisturbed.items()
    rest = run(archive, "-o", out, "--workers", 3, "--shard", "2/2")
    assert f"{PHOTOS - len(part)} done" in rest.stderr
    assert tree(out) == undisturbed
    both = [line["result"] for n in (1, 2) for line in lines(out, f"photochrom-{n}-of-2.jsonl")]
    assert len(both) == len(set(both)) == PHOTOS + 2
    again = run(archive, "-o", out, "--workers", 1)
    assert f"0 done, 0 failed, {PHOTOS} already done, 2 failed before" in again.stderr
    assert again.returncode == 0


class Archiving:
    """The command at work on an archive, to be stopped at a moment that its own progress names."""

    def __init__(self, archive: Path, out: Path, *arguments: str) -> None:
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "photochrom", "colorize", archive, "-o", out, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.first = self.lines()

    def lines(self) -> int:
        manifest = self.out / MANIFEST
        return manifest.read_bytes().count(b"\n") if manifest.exists() else 0

    def wait(self, count: int, draft: bool) -> None:
        """Until so many more photos are in the manifest, and maybe until a draft is seen."""
        while self.process.poll() is None:
            if self.lines() - self.first >= count and (
                not draft or any(DRAFT.match(p.name) for p in self.out.rglob(".photochrom-*"))
            ):
                return
            time.sleep(0.001)

    def end(self, how: signal.Signals, group: bool = False) -> str:
        if group:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        return self.process.communicate()[1]


@pytest.fixture
def archiving(archive: Path, out: Path) -> Iterator[Callable[..., Archiving]]:
    started: list[Archiving] = []

    def start(*arguments: str) -> Archiving:
        started.append(Archiving(archive, out, *arguments))
        return started[-1]

    yield start
    for at_work in started:
        if at_work.process.poll() is None:
            at_work.end(signal.SIGKILL, group=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_killed_at_any_moment_it_leaves_nothing_broken_and_the_next_run_finishes(
    archive: Path, undisturbed: dict[str, str], out: Path, archiving: Any
) -> None:
    before = tree(archive)
    # As soon as there is a draft, amid a result, and between two; alone, or with the workers.
    for count, draft, group in ((0, True, False), (3, True, True), (4, False, False)):
        at_work = archiving("--workers", "2")
        at_work.wait(count, draft)
        at_work.end(signal.SIGKILL, group)
        whole = {name: h for name, h in tree(out).items() if not DRAFT.match(Path(name).name)}
        assert whole.items() <= undisturbed.items()  # each that has its name is whole
    done = run(archive, "-o", out, "--retry")
    assert done.returncode == 1 and " 2 failed" in done.stderr, done.stderr
    assert tree(out) == undisturbed  # and so no draft is left either
    assert tree(archive) == before
    assert f"0 done, 2 failed, {PHOTOS} already done" in run(archive, "-o", out, "--retry").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_what_is_in_hand_and_says_how_to_go_on(
    archive: Path, undisturbed: dict[str, str], out: Path, archiving: Any, how: signal.Signals
) -> None:
    at_work = archiving("--workers", "2")
    at_work.wait(3, draft=False)
    error = at_work.end(how, group=True)  # as a terminal and a job scheduler do: all hear it
    assert at_work.process.returncode == 128 + how
    assert "finishing the photos in progress" in error and "run the same command again" in error
    assert "Traceback" not in error and "died" not in error
    made = tree(out)
    assert 0 < len(made) < PHOTOS and made.items() <= undisturbed.items()
    named = [line["result"] for line in lines(out) if not line["error"]]
    assert sorted(named) == sorted(made)  # all that was begun is in the manifest
    assert run(archive, "-o", out, "--retry").returncode == 1
    assert tree(out) == undisturbed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_an_interrupt_while_the_model_is_loaded_is_one_and_begins_nothing(
    out: Path, archiving: Any
) -> None:
    at_work = archiving("--workers", "2")
    children = Path(f"/proc/{at_work.process.pid}/task/{at_work.process.pid}/children")
    end = time.monotonic() + 60
    while len(workers := children.read_text().split()) < 3:  # one is multiprocessing's own
        assert time.monotonic() < end
        time.sleep(0.005)
    error = at_work.end(signal.SIGINT)
    assert at_work.process.returncode == 130
    assert "photochrom: interrupted" in error and "Traceback" not in error
    assert not tree(out)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers[1:])


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_second_interrupt_drops_what_is_in_hand(
    undisturbed: dict[str, str], out: Path, archiving: Any
) -> None:
    at_work = archiving("--workers", "2")
    at_work.wait(2, draft=True)
    for _ in range(2):
        at_work.process.send_signal(signal.SIGINT)
        time.sleep(0.01)  # two signals of a kind at once are one
    error = at_work.process.communicate()[1]
    assert at_work.process.returncode == 130, error
    assert "Traceback" not in error
    assert tree(out).items() <= undisturbed.items()  # and no draft


def test_a_dry_run_says_what_would_be_done_and_does_nothing(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    would = run(archive, "-o", out, "--dry-run")
    assert would.returncode == 0 and not out.exists()
    assert f"{PHOTOS + 2} to color, 0 that will fail, 0 already done" in would.stderr
    assert f"color  {archive}/box 0/00.jpg -> {out}/box 0/00.jpg  (new)" in would.stdout
    run(archive / "box 0", "-o", out, "--workers", 1)
    before = states(out)
    (out / "03.webp").write_bytes(b"mine")
    (out / "00.jpg").unlink()
    would = run(archive / "box 0", "-o", out, "--dry-run")
    changed = states(out).items() ^ before.items()
    assert {name for name, _ in changed} == {"00.jpg", "03.webp"}
    assert "its result is missing" in would.stdout and ALTERED in would.stdout
    assert would.returncode == 0


def test_wrong_usage(archive: Path, out: Path) -> None:
    command = ["colorize", str(archive), "-o", str(out)]
    for shard in ("3/2", "0/2", "x"):
        with pytest.raises(SystemExit) as error:
            main([*command, "--shard", shard])
        assert error.value.code == 2
    assert main([*command, "--workers", "0"]) == 2
    assert not out.exists()


@pytest.mark.process
def test_a_folder_without_output_goes_on_as_well(tmp_path: Path, capfd: Any) -> None:
    scans = tmp_path / "scans"
    draw(scans / "a.png", 1)
    draw(scans / "sub/b.jpg", 2)
    assert main(["colorize", str(scans), "--workers", "1"]) == 0
    assert set(tree(scans)) == {"a.png", "a.color.png", "sub/b.jpg", "sub/b.color.jpg"}
    draw(scans / "c.png", 3)
    assert main(["colorize", str(scans), "--workers", "1"]) == 0
    assert "1 done, 0 failed, 2 already done" in capfd.readouterr().err
    # The input as output: nothing but originals stands there.
    before = tree(scans)
    for arguments in ([], ["--force"]):
        assert main(["colorize", str(scans), "-o", str(scans), *arguments]) == 2
        assert tree(scans) == before


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(3, every=0.0) as progress:
        for kind, error in (("done", ""), ("failed", "a\nb.jpg: broken"), ("done", "")):
            progress.count(Outcome(kind, error))  # type: ignore[arg-type]
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("photochrom: 1 done, 0 failed, 2 left, about ")
    assert told[1] == "photochrom: a\\nb.jpg: broken"
    assert told[2].startswith("photochrom: 1 done, 1 failed, 1 left")
    assert len(told) == 3
