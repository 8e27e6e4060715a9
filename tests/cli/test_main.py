"""The command line as a whole: what it loads, what its help says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from photochrom import __version__
from photochrom.cli.main import COMMANDS, main

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [*(command.name for command in COMMANDS), "study serve", "study report"]
HEAVY = {"numpy", "onnxruntime", "pyvips", "torch", "PIL", "fastapi", "tqdm", "filelock"}


def test_version_help_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ((["--version"], 0), (["--help"], 0), (["colorize"], 2), (["x"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == code
    assert f"photochrom {__version__}" in capsys.readouterr().out
    assert main([]) == 2


@pytest.mark.parametrize("command", NAMES)
def test_every_command_explains_itself_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"photochrom {command}" in text.split("examples:")[1]


def loaded(*commands: str) -> set[str]:
    """The top-level modules that a process has loaded after these command lines."""
    code = (
        "import contextlib, io, sys\n"
        "from photochrom.cli.main import main\n"
        "for words in sys.argv[1:]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        main(words.split())\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_version_and_help_load_nothing_heavy() -> None:
    assert not loaded("--version", "--help", "", "models --help") & HEAVY


def test_no_help_loads_more_than_numpy() -> None:
    assert not loaded(*(f"{name} --help" for name in NAMES)) & (HEAVY - {"numpy"})


def test_nothing_of_many_photos_or_shards_needs_unix_to_be_imported() -> None:
    code = (
        "import sys\n"
        "sys.modules['fcntl'] = None\n"
        "import photochrom.batch.work, photochrom.cli.folders, photochrom.dataset.prepare\n"
        "import photochrom.study.study, photochrom.evaluate.run, photochrom.pool\n"
        "import photochrom.video.film"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_with_the_help_is_current() -> None:
    spec = importlib.util.spec_from_file_location("help_page", DOCS / "help_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Where lines break depends on the version of Python.
    assert module.page().split() == module.PAGE.read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", ["old.jpg", "my scans", "https://example.org/a.jpg"])
def test_a_photo_in_the_place_of_the_command_is_understood(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if ":" not in name:
        (tmp_path / name).touch()
    assert main([name, "-q", "90"]) == 2
    word = f"'{name}'" if " " in name else name
    said = capsys.readouterr().err
    assert f"did you mean `photochrom colorize {word} -q 90`?" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["https://example.org/a.jpg"], "is a web address; download the photo"),
        (["a.jpg", "b.jpg", "--hint", "1,1,ff0000"], "--hint: is for a spot in one photo"),
        ([".", "--hint", "1,1,ff0000"], "--hint: is for a spot in one photo"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["colorize", *arguments]) == 2
    assert said in capsys.readouterr().err
