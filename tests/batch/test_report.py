"""The overview: made from the manifest alone, with what needs a look first."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from photochrom.batch.history import MANIFEST
from photochrom.batch.job import Attempt, Certainty, FileState, Job, Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.report import write_report
from photochrom.errors import PhotoError

STATE = FileState(1, 2, "3")


def attempt(bits: float | None = None, **more: object) -> Attempt:
    sure = None if bits is None else Certainty(bits, 0.25, 0.01)
    known = {"source": STATE, "result": STATE, "size": (640, 480), "certainty": sure}
    return Attempt(1.0, **{**known, **more})  # type: ignore[arg-type]


@pytest.fixture
def out(tmp_path: Path, settings: Settings) -> Path:
    out = tmp_path / "out"
    with Manifest(out) as manifest:
        for name, what in (
            ("sure.jpg", attempt(1.5)),
            ("<b>&odd name.jpg", attempt(6.0, notes=("=lost & found",))),
            ("again.jpg", attempt(2.0)),
            ("broken.jpg", Attempt(0.1, error="broken.jpg: cannot be read; restore it")),
            ("again.jpg", attempt(4.0, result=FileState(9, 9, "9"))),
            ("own.jpg", Attempt(0.1, source=STATE, own_color="skip")),
            ("raw.cr2", Attempt(0.0, passed="camera raw")),
            ("sure.jpg", attempt(None)),  # looked at again: it is still the same result
            ("scan.tif", attempt(3.0)),
        ):
            manifest.append(Job(f"/in/{name}", str(out / name), name), settings, what)
    return out


ORDER = [
    "broken.jpg", "<b>&odd name.jpg", "again.jpg", "scan.tif", "sure.jpg", "own.jpg", "raw.cr2",
]  # fmt: skip


def test_a_table_has_failures_first_and_then_the_least_certain(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    assert write_report(str(path), [str(out)]) == [str(path)]
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [Path(row["result"]).name for row in rows] == ORDER
    assert [row["outcome"] for row in rows] == [
        "failed", "done", "done", "done", "done", "skipped", "passed over",
    ]  # fmt: skip
    assert rows[1]["bits"] == "6.0" and rows[1]["width"] == "640"
    assert rows[1]["notes"].startswith("'=")  # no formula for a spreadsheet
    assert rows[4]["bits"] == "1.5" and "cannot be read" in rows[0]["message"]


def test_a_page_shows_before_and_after(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    write_report(str(path), [str(out)])
    text = path.read_text()
    assert [
        re.sub("&lt;b&gt;&amp;", "<b>&", name) for name in re.findall("<h2>.*?out/(.*)</h2>", text)
    ] == ORDER
    assert 'src="./out/sure.jpg"' in text and 'src="./../../../in/sure.jpg"' not in text
    assert "%3Cb%3E%26odd%20name.jpg" in text and "<b>&odd" not in text
    assert "640 × 480 pixels" in text and "6.00 bits" in text and "photochrom-1" in text
    assert "scan.tif</a>" in text and 'src="./out/scan.tif"' not in text  # no browser shows it
    assert "<script" not in text


def test_a_thousand_photos_are_a_file(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    names = write_report(str(path), [str(out)], a_page=3)
    assert [Path(name).name for name in names] == ["review.html", "review-2.html", "review-3.html"]
    assert [len(re.findall("<article>", Path(name).read_text())) for name in names] == [3, 3, 1]
    assert 'href="./review-3.html"' in path.read_text()


def test_an_empty_or_damaged_manifest_makes_an_empty_page(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b'nonsense\n{"source": 1}\n[]\n' + json.dumps({}).encode())
    write_report(str(tmp_path / "a.html"), [str(tmp_path)])
    assert "<h1>0 photos</h1>" in (tmp_path / "a.html").read_text()


def test_an_overview_that_cannot_be_written_is_named(out: Path, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="nowhere"):
        write_report(str(tmp_path / "nowhere" / "a.html"), [str(out)])
