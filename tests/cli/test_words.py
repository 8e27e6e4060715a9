"""What the command says about formats and films."""

from __future__ import annotations

from pathlib import Path

import pytest

from photochrom.batch.job import Settings
from photochrom.batch.plan import Rules, plan
from photochrom.cli.main import main
from photochrom.photo.formats.table import ALL
from photochrom.photo.write import without_quality


def test_the_help_names_every_format_that_has_a_quality(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["colorize", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    (about,) = [part for part in text.split("--quality N")[1:2]]
    about = about.split("--model")[0]
    assert all((form.name in about) == ("Q" in form.options) for form in ALL)
    assert without_quality() == "PNG, TIFF and JPEG 2000"


def test_a_plan_for_films_says_film(tmp_path: Path) -> None:
    film = str(tmp_path / "a.mp4")
    Path(film).touch()
    settings = Settings(0.4, 1.0, (), 256, "m", "0" * 64)
    (step,) = plan([(film, film)], settings, None, Rules(noun="film"))
    assert step.why.startswith(f"{film}: the result would overwrite the film")
