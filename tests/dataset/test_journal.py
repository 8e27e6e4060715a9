"""The same bytes whatever happens: workers, stops, crashes, kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom.dataset.store import PhotoStore
from photochrom.errors import DataError
from tests.dataset.photos import count_examined, fields, interrupted, run, tree

pytestmark = pytest.mark.slow


@pytest.mark.process
def test_neither_workers_nor_runs_change_a_byte(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 9)
    run(photos, tmp_path / "one", workers=1, shard_size=4)
    run(photos, tmp_path / "three", workers=3, shard_size=4)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    assert len(tree(tmp_path / "one")) == 6
    run(photos, tmp_path / "seed", shard_size=4, seed=1)
    assert tree(tmp_path / "one")["shard-00000.tar"] != tree(tmp_path / "seed")["shard-00000.tar"]


def test_a_second_call_goes_on_where_the_first_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fields(tmp_path / "in", 12)
    run(photos, tmp_path / "whole")
    interrupted(photos, tmp_path / "out", 5)
    with pytest.raises(DataError, match="is unfinished"):
        PhotoStore([tmp_path / "out"])
    seen = count_examined(monkeypatch)
    run(photos, tmp_path / "out")
    assert len(seen) == 7
    assert tree(tmp_path / "whole") == tree(tmp_path / "out")


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Photos, the finished output, and one interrupted after 8 of 12."""
    root = tmp_path_factory.mktemp("half")
    photos = fields(root / "in", 12)
    (photos / "003.png").write_bytes(b"broken")  # one line of the journal has no payload
    run(photos, root / "whole")
    interrupted(photos, root / "half", 8)
    return photos, root / "whole", root / "half"


@settings(max_examples=10, deadline=None)
@given(lines=st.floats(0, 1), payload=st.floats(0, 1), zeros=st.booleans())
def test_whatever_a_crash_leaves_of_the_journal_is_gone_on_with(
    half_done: tuple[Path, Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
    lines: float,
    payload: float,
    zeros: bool,
) -> None:
    photos, whole, half = half_done
    output = tmp_path_factory.mktemp("crash") / "out"
    shutil.copytree(half, output)
    for name, share in (("journal.jsonl", lines), ("payload.bin", payload)):
        path = output / ".work" / name
        data = path.read_bytes()
        cut = int(len(data) * share)
        # A power cut can leave a file at its length with nothing but zeros in its last pages.
        path.write_bytes(data[:cut] + (bytes(len(data) - cut) if zeros else b""))
    run(photos, output)
    assert tree(output) == tree(whole)


def test_a_stop_while_the_shards_are_written_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fields(tmp_path / "in", 12)
    run(photos, tmp_path / "whole", shard_size=4)
    with monkeypatch.context() as patch:
        moved = []
        real = os.replace

        def stopping(source: Path, target: Path) -> None:
            if Path(target).parent == tmp_path / "out":
                if len(moved) == 3:
                    raise KeyboardInterrupt
                moved.append(target)
            real(source, target)

        patch.setattr(os, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(photos, tmp_path / "out", shard_size=4)
    assert len(list((tmp_path / "out").glob("*"))) == 4  # three files and the work folder
    with pytest.raises(DataError, match="is unfinished"):
        PhotoStore([tmp_path / "out"])
    seen = count_examined(monkeypatch)
    run(photos, tmp_path / "out", shard_size=4)
    assert seen == []
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def wait_until(condition: Callable[[], object], why: str) -> None:
    # No claim about speed: the bound only keeps a broken program from hanging the tests.
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"never happened: {why}")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_in_the_middle_loses_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    count, workers = 24, 2
    photos = fields(tmp_path / "in", count, (400, 480))
    output = tmp_path / "out"
    code = (
        "import sys; from photochrom.dataset.prepare import prepare\n"
        f"if __name__ == '__main__': prepare([sys.argv[1]], sys.argv[2], workers={workers})"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script), str(photos), str(output)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = output / ".work/journal.jsonl"

    def recorded() -> int:
        return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0

    wait_until(lambda: recorded() >= 3 or process.poll() is not None, "three are recorded")
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    children = [c for t in threads for c in (t / "children").read_text().split()]
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate()
    assert process.returncode != 0
    assert len(children) >= workers
    wait_until(lambda: not any(is_running(int(c)) for c in children), "the workers end too")
    if how == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1  # the workers keep quiet
    done = recorded()
    assert 3 <= done < count
    with monkeypatch.context() as patch:
        seen = count_examined(patch)
        report = run(photos, output)
    assert count - done <= len(seen) <= count - done + 1
    assert report.kept == count
    run(photos, tmp_path / "whole")
    assert tree(output) == tree(tmp_path / "whole")


def test_a_worker_that_dies_is_reported_with_its_photo(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 6)
    script = tmp_path / "script.py"
    # As the kernel does to a process that takes too much memory.
    script.write_text(
        "import os, signal, sys\n"
        "from photochrom.dataset import prepare as module\n"
        "class Fatal(module.Settings):\n"
        "    @property\n"
        "    def max_aspect(self): os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    from photochrom.errors import DataError\n"
        "    from photochrom.dataset.store import PhotoStore\n"
        "    fatal = object.__new__(Fatal)\n"
        "    object.__setattr__(fatal, 'short_side', 128)\n"
        "    try: list(module._outcomes(PhotoStore([sys.argv[1]]), 2, fatal, 2))\n"
        "    except DataError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(photos)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(f"{photos}/002.png: a worker died"), done.stderr
    assert "exit code -9" in done.stdout
    assert "fewer --workers" in done.stdout
