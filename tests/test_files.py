from __future__ import annotations

import errno
import os
import pickle
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from photochrom.errors import DataError, PhotochromError, StudyError
from photochrom.files import draft_name, not_written, sweep_drafts, whole, write_whole

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")


def write(path: str | Path, data: bytes = b"new") -> None:
    Path(path).write_bytes(data)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with whole(path) as draft:
        write(draft)
        assert os.path.dirname(draft) == str(tmp_path)  # so that the last step is a rename
        assert draft.endswith(".json")  # writers go by the extension
        assert names(tmp_path) == [os.path.basename(draft)]
    assert path.read_bytes() == b"new" and names(tmp_path) == ["a.json"]


def test_a_name_without_a_folder_or_an_extension_is_one_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with whole("plain") as draft:
        write(draft)
    assert names(tmp_path) == ["plain"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("end", [ValueError("no"), OSError(5, "no"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, end: BaseException, force: bool
) -> None:
    path = tmp_path / "a.json"
    if force:
        write(path, b"old")
    with pytest.raises(type(end)), whole(path, force=force) as draft:
        write(draft)
        raise end
    assert names(tmp_path) == (["a.json"] if force else [])
    assert not force or path.read_bytes() == b"old"


def test_ctrl_c_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a.json", DataError) as draft:
        write(draft)
        signal.raise_signal(signal.SIGINT)
    assert names(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    gone = r"has gone while .*a\.json was being written; try again"
    with pytest.raises(DataError, match=gone), whole(tmp_path / "a.json", DataError):
        pass
    assert names(tmp_path) == []


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, b"old")
    begun = False
    taken = r"a\.json: already exists; use --force"
    with pytest.raises(StudyError, match=taken), whole(path, StudyError):
        begun = True
    assert not begun  # no work is lost
    assert path.read_bytes() == b"old"
    with whole(path, force=True) as draft:
        write(draft)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["a.json"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(DataError, match="already exists"), whole(path, DataError) as draft:
        write(draft)
        write(path, b"rival")
    assert path.read_bytes() == b"rival" and names(tmp_path) == ["a.json"]


@posix
@pytest.mark.parametrize("force", [False, True])
def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    path = tmp_path / "a.json"
    if force:
        write(path, b"old")
    sync, steps = os.fsync, []

    def noted(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        named = path.exists() and path.read_bytes() == b"new"
        if stat.S_ISDIR(status.st_mode):
            assert os.path.samestat(status, tmp_path.stat())
            steps.append(("folder", named))
        else:
            steps.append((os.pread(descriptor, 9, 0), named))

    monkeypatch.setattr(os, "fsync", noted)
    with whole(path, force=force) as draft:
        write(draft)
    assert steps == [(b"new", False), ("folder", True)]


@posix
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, b"old")
    os.symlink("/dev/full", tmp_path / "draft")
    full = whole(path, DataError, force=True, draft=str(tmp_path / "draft"))
    with pytest.raises(DataError) as raised, full as draft:
        write(draft)
    error = raised.value
    assert error.problem == f"{path}: cannot be written: No space left on device"
    assert error.remedy == "free some space, or choose a folder on another disk"
    assert error.retry and error.not_written == "No space left on device"
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.json"]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "no" / "a.json"
    with pytest.raises(DataError) as raised, whole(path, DataError):
        raise AssertionError("the work has begun")
    assert str(raised.value) == f"{path}: its folder does not exist; create it first"
    with pytest.raises(FileNotFoundError), whole(path):
        raise AssertionError("the work has begun")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(DataError, match=r"a\.json: is a folder; name a file"):
        write_whole(tmp_path / "a.json", b"", DataError)
    assert names(tmp_path) == ["a.json"]


@posix
def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "file")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        write_whole(tmp_path / "file" / "a.json", b"", DataError)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "choose a folder that is writable"),
        (errno.EACCES, "choose a folder that is writable"),
        (errno.EIO, "choose a folder that is writable and has free space"),
    ],
)
def test_the_remedy_fits_the_reason(number: int, remedy: str) -> None:
    error = not_written("a.json", OSError(number, os.strerror(number)), DataError)
    assert str(error) == f"a.json: cannot be written: {os.strerror(number)}; {remedy}"


def test_errors_of_other_kinds_pass(tmp_path: Path) -> None:
    with pytest.raises(PhotochromError, match="mine"), whole(tmp_path / "a", DataError):
        raise StudyError("mine")


def test_who_is_shown_the_draft_can_refuse_it(tmp_path: Path) -> None:
    def refuse(draft: str) -> None:
        assert Path(draft).read_bytes() == b"new" and names(tmp_path) == [os.path.basename(draft)]
        raise StudyError("not this one")

    with pytest.raises(StudyError), whole(tmp_path / "a.json", ready=refuse) as draft:
        write(draft)
    assert names(tmp_path) == []


def test_text_is_utf8_with_its_line_ends(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.csv", "ä\r\nb\n")
    assert (tmp_path / "a.csv").read_bytes() == "ä\r\nb\n".encode()
    write_whole(tmp_path / "a.csv", b"again")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.csv", b"once more", force=False)
    assert (tmp_path / "a.csv").read_bytes() == b"again"


def of_a_dead_process(folder: Path, suffix: str, age: float) -> Path:
    """The draft of a process that cannot run, as old as this."""
    mine = os.path.basename(draft_name(str(folder), suffix))
    path = folder / mine.replace(f"-{os.getpid()}-", f"-{2**31 - 1}-")
    assert path.name != mine
    write(path)
    os.utime(path, (time.time() - age,) * 2)
    return path


@posix
@pytest.mark.parametrize("suffix", ["", ".npz", ".tar", ".a b"])
def test_drafts_of_dead_processes_are_swept_with_the_first_file_of_a_folder(
    tmp_path: Path, suffix: str
) -> None:
    dead = of_a_dead_process(tmp_path, suffix, age=1000)
    new = of_a_dead_process(tmp_path, suffix, age=0)
    alive = Path(draft_name(str(tmp_path), suffix))
    write(alive)
    os.utime(alive, (1, 1))
    write_whole(tmp_path / "a.json", b"")
    assert names(tmp_path) == sorted(["a.json", new.name, alive.name])
    write(dead)
    os.utime(dead, (1, 1))
    write_whole(tmp_path / "b.json", b"")
    assert dead.exists()  # a folder of many results is not listed for each of them
    sweep_drafts(str(tmp_path))
    assert not dead.exists()


def test_an_error_says_what_failed_after_a_journey_between_processes() -> None:
    error: Any = not_written("a.json", OSError(errno.EIO, "bad"), DataError)
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.not_written, back.retry) == (str(error), "bad", True)
    assert (back.name, back.reason) == ("a.json", "cannot be written: bad")
    assert back.problem == "a.json: cannot be written: bad"
