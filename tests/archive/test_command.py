"""`photochrom colorize` and `photochrom manifest` on addresses."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from photochrom.cli.main import main

Photo = Callable[[int], bytes]


@pytest.fixture
def scans(tmp_path: Path, photo: Photo) -> Path:
    folder = tmp_path / "scans"
    for n, name in enumerate(["a.png", "1/b.png", "1/c.png"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(n))
    (folder / "torn.png").write_bytes(photo(5)[:99])
    (folder / "x.xcf").write_bytes(b"raw")
    return folder


@pytest.mark.process
@pytest.mark.slow
def test_a_folder_as_an_address_and_what_its_manifest_says(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out", tmp_path / "t.csv"
    command = ["colorize", f"file://{scans}", "-o", f"file://{out}", "--workers", "1", "-v"]
    assert main([*command, "--dry-run"]) == 0
    told = capsys.readouterr()
    assert told.out.count("(new)") == 4 and not out.exists()
    assert main([*command, "--color", "recolor", "--report", str(table)]) == 1
    told = capsys.readouterr()
    assert "3 done, 1 failed" in told.err and "1 GIMP" in told.err
    assert f"{scans}/torn.png: cannot be read" in told.err
    assert sorted(told.out.split()) == sorted(
        [f"{out}/a.png", f"{out}/1/b.png", f"{out}/1/c.png", str(table)]
    )
    with table.open() as file:
        rows = {row["result"]: row["outcome"] for row in csv.DictReader(file)}
    assert rows == {"1/b.png": "done", "1/c.png": "done", "a.png": "done", "torn.png": "failed",
                    "x.xcf": "passed"}  # fmt: skip
    assert main([*command, "--color", "recolor"]) == 0
    assert "3 already done, 1 failed before" in capsys.readouterr().err
    assert main(["manifest", str(out), "--outcome", "failed"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("failed  torn.png  (") and "1 failed" in told.err
    assert main(["manifest", str(out), "--path", "1/*", "--csv", "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.process
@pytest.mark.slow
def test_a_local_run_goes_on_as_an_address(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rest = ["-o", str(out), "--color", "recolor", "--workers", "1"]
    assert main(["colorize", str(scans), *rest]) == 1
    assert main(["manifest", str(out)]) == 0
    assert "3 done, 1 failed" in capsys.readouterr().err
    rest[1] = f"file://{out}"
    assert main(["colorize", str(scans), *rest]) == 0
    assert "3 already done, 1 failed before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s3://scans"], "need an output; name a folder or an address with -o"),
        (["memory://a", "-o", "memory://a"], "the results would lie among the photos"),
        (["memory://a/b", "-o", "memory://a"], "the results would lie among the photos"),
        (["memory://a", "-o", "https://h/b"], "nothing can be written there"),
        (["memory://a", "-o", "memory://b", "--hint", "1,2,red"], "into a file beside it"),
        (["memory://a", "-o", "memory://b", "--shard", "1/2"], "is not needed here"),
        (["memory://a", "-o", "memory://b", "--report", "r.html"], "ends in .csv"),
        (["memory://none", "-o", "memory://b"], "there is no such folder"),
    ],
)
def test_what_cannot_be_meant_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["colorize", *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_local_run_needs_nothing_of_stores_and_clusters(scans: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('fsspec', 'pyarrow', 'ray'):\n"
        "    sys.modules[name] = None\n"  # importing any of them raises
        "from photochrom.cli.main import main\n"
        "print(main(['colorize', *sys.argv[1:], '--dry-run']))"
    )
    command = [sys.executable, "-c", code, str(scans), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("0\n"), done.stderr
