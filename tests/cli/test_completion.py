"""`photochrom completion`: the shell itself completes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from photochrom.cli.main import main

# As bash calls it when a user presses the Tab key; what it offers goes to a line of its own.
PRESS_TAB = """
source ./script
by=$(complete -p photochrom | sed 's/.*-F \\([^ ]*\\).*/\\1/')
press() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  "$by" photochrom "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  (IFS='|'; echo "${COMPREPLY[*]}")
}
press photochrom colo
press photochrom colorize --hi
press photochrom colorize --color ''
press photochrom colorize a
press photochrom colorize old.jpg -o o
press photochrom video --stills ''
press photochrom study ''
"""


def test_bash_completes_commands_options_choices_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "a photo.jpg").touch()
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [bash, "--norc", "-c", PRESS_TAB], cwd=tmp_path, capture_output=True, text=True
    )
    assert not done.stderr
    assert done.stdout.splitlines() == [
        "colorize", "--hint", "recolor|keep|skip", "a photo.jpg", "out", "out", "serve|report",
    ]  # fmt: skip


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef photochrom"), ("fish", "complete")])
def test_other_shells_have_their_own_scripts(
    shell: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert word in text and "skip-color" in text
