"""The manifest: each line says it all, and each counts once."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from photochrom.batch.find import Asked, find
from photochrom.batch.history import read_manifests
from photochrom.batch.job import Attempt, FileState, Job, Settings
from photochrom.batch.manifest import MANIFEST, Manifest
from photochrom.errors import ConfigError, PhotoError
from tests.batch.scans import draw, lines

# --- the manifest ---------------------------------------------------------------------------------


def test_a_line_says_it_all(once: Any, scans: Path, out: Path, settings: Settings) -> None:
    draw(scans / "1923/été\n写真.png", 1)
    once()
    (line,) = lines(out)
    result = out / "1923/été\n写真.png"
    assert line["source"] == str(scans / "1923/été\n写真.png")
    assert line["result"] == "1923/été\n写真.png"
    assert line["error"] is None
    assert line["settings"] == {
        "temperature": 0.38,
        "saturation": 1.0,
        "hints": [],
        "size": 160,
        "keep_color": 0.0,
        "quality": None,
    }
    assert line["model"] == {"name": settings.model, "sha256": settings.model_sha256}
    assert line["time"].endswith("+00:00") and line["seconds"] > 0
    for path, said in ((scans / line["result"], "source_file"), (result, "result_file")):
        status = path.stat()
        assert line[said] == {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }


def test_a_torn_line_is_passed_over_and_the_next_begins_on_its_own(
    once: Any, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 1)
    draw(scans / "b.png", 2)
    once()
    whole = (out / MANIFEST).read_bytes()
    first = whole.splitlines(keepends=True)[0]
    for torn in (b'{"sou', first[:-1], first[: len(first) // 2], b"\0" * 50, b"[" * 100_000):
        (out / MANIFEST).write_bytes(whole + torn)
        known = read_manifests(out)
        assert sorted(known) == ["a.png", "b.png"]
        assert set(once().values()) == {("skip", "done")}
        assert (out / MANIFEST).read_bytes() == whole + torn + b"\n"
    # As a full disk does it: the next line follows on the torn one.
    (out / MANIFEST).write_bytes(first[:70] + whole)
    assert sorted(read_manifests(out)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "line",
    [
        b"1", b"[]", b"{}", b"null", b'{"source": 1}',
        b'{"source": "a", "result": [], "error": null, "time": "", "settings": {}, '
        b'"model": {"sha256": ""}, "source_file": null, "result_file": null}',
        b'{"source": "a", "result": "a", "error": null, "time": 3, "settings": {}, '
        b'"model": {"sha256": ""}, "source_file": null, "result_file": null}',
        b'{"source": "a", "result": "a", "error": null, "time": "", "settings": 5, '
        b'"model": [], "source_file": {"size": 1}, "result_file": {}}',
    ],
)  # fmt: skip
def test_lines_that_are_not_ours_say_nothing(out: Path, line: bytes) -> None:
    out.mkdir()
    (out / MANIFEST).write_bytes(line + b"\n")
    assert read_manifests(out) == {}


def test_an_error_hides_no_earlier_result_but_can_take_its_own_back(
    out: Path, settings: Settings
) -> None:
    good, other = FileState(1, 2, "3"), FileState(4, 5, "6")
    job = Job("a.png", "out/a.png", "a.png")
    with Manifest(out) as manifest:
        manifest.append(job, settings, Attempt(0.1, good, good))
        manifest.append(job, settings, Attempt(0.1, error="cannot be read"))
        assert read_manifests(out)["a.png"].result_file == good
        manifest.append(job, settings, Attempt(0.1, good, other))
        assert read_manifests(out)["a.png"].result_file == other
        attempt = Attempt(0.1, error="no name was free", result=other)
        manifest.append(job, settings, attempt)
        assert read_manifests(out) == {}


def test_of_two_manifests_the_later_line_counts_and_within_one_the_last(
    out: Path, settings: Settings
) -> None:
    states = [FileState(n, n, str(n)) for n in range(4)]
    job = Job("a.png", "out/a.png", "a.png")
    for shard, first in (((2, 3), 0), ((1, 1), 2)):
        with Manifest(out, shard) as manifest:
            for state in states[first : first + 2]:
                manifest.append(job, settings, Attempt(0.1, state, state))
                time.sleep(0.002)  # their times have milliseconds
    assert sorted(path.name for path in out.iterdir()) == ["photochrom-2-of-3.jsonl", MANIFEST]
    assert read_manifests(out)["a.png"].result_file == states[3]
    # A clock that was set back does not turn the order of a manifest around.
    found = lines(out)
    found[1]["time"] = found[0]["time"].replace("20", "19", 1)
    (out / "photochrom-2-of-3.jsonl").unlink()
    (out / MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in found))
    assert read_manifests(out)["a.png"].result_file == states[3]


@pytest.mark.slow
def test_a_shard_runs_once_at_a_time(out: Path) -> None:
    with Manifest(out, (1, 2)), Manifest(out, (2, 2)), Manifest(out):
        for shard in ((1, 2), (2, 2), (1, 1)):
            with pytest.raises(ConfigError, match="is in use by another run"):
                Manifest(out, shard, patience=0.15)
    Manifest(out).close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_who_sweeps_stands_in_no_ones_way(out: Path) -> None:
    for number in (1, 2, 3):
        Manifest(out, (number, 3)).close()
    began: list[int] = []

    def folders() -> Iterator[str]:
        for number in (2, 3):
            yield str(out)
            Manifest(out, (number, 3), patience=0).close()
            began.append(number)

    with Manifest(out, (1, 3)) as manifest:
        manifest.sweep(folders())
    assert began == [2, 3]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhotoError, match=r"file.*cannot be written"):
        Manifest(tmp_path / "file/out")
    (tmp_path / "out" / MANIFEST).mkdir(parents=True)
    with pytest.raises(PhotoError, match=r"photochrom.jsonl: cannot be written"):
        Manifest(tmp_path / "out")


def test_only_the_drafts_of_runs_that_have_ended_are_swept(out: Path) -> None:
    (out / "sub").mkdir(parents=True)
    Manifest(out, (1, 3)).close()
    with Manifest(out, (2, 3)), Manifest(out) as manifest:
        kept = [
            out / ".photochrom-draft-2-of-3-0123456789abcdef.jpg",  # at work
            out / ".photochrom-draft-3-of-3-0123456789abcdef.jpg",  # of no manifest that is here
            out / ".photochrom-0123456789abcdef.jpg",  # of a single photo
            out / ".photochrom-draft-x.jpg",
            out / "photochrom-draft-0123456789abcdef.jpg",
        ]
        gone = [
            out / ".photochrom-draft-0123456789abcdef.jpg",
            out / "sub/.photochrom-draft-1-of-3-0123456789abcdef.png",
            Path(manifest.draft(str(out / "sub/x.tiff"))),
        ]
        for path in kept + gone:
            path.touch()
        manifest.sweep([str(out), str(out / "sub"), str(out / "not there")])
        assert all(path.exists() for path in kept)
        assert not any(path.exists() for path in gone)


# --- what a result does not have ------------------------------------------------------------------


def test_only_an_ordinary_file_is_a_manifest(tmp_path: Path, scans: Path) -> None:
    draw(scans / "below" / "a.png", 0)
    os.mkfifo(scans / "below" / MANIFEST)
    (scans / "photochrom-1-of-2.jsonl").symlink_to("/dev/zero")
    assert read_manifests(scans) == read_manifests(scans / "below") == {}
    assert [source for source, _ in find(Asked([str(scans)])).photos] == [
        str(scans / "below" / "a.png")
    ]
    with pytest.raises(PhotoError, match="is not a file"):
        Manifest(scans / "below")


def test_a_line_without_end_takes_no_memory_and_hides_no_other(
    once: Any, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 0)
    once()
    manifest = out / MANIFEST
    manifest.write_bytes(b"x" * (3 << 20) + b"\n" + manifest.read_bytes())
    assert once() == {"a.png": ("skip", "done")}
