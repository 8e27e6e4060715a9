"""Settings and hints for one photo, in a file beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from photochrom.batch.job import Settings
from photochrom.batch.plan import plan
from photochrom.batch.sidecar import SIDECAR, with_sidecar
from photochrom.errors import PhotoError
from tests.batch.scans import draw, lines


def write(photo: Path, **content: Any) -> None:
    text = json.dumps({"photochrom": "sidecar", "version": 1, **content})
    Path(f"{photo}{SIDECAR}").write_text(text)


def test_without_a_sidecar_nothing_changes(tmp_path: Path, settings: Settings) -> None:
    assert with_sidecar(str(tmp_path / "a.jpg"), settings) is None


def test_it_says_what_is_different(tmp_path: Path, settings: Settings) -> None:
    photo = tmp_path / "a.jpg"
    hints = [{"x": 3, "y": 4, "color": "navy"}, {"x": 5, "y": 6, "color": [1, 2, 3], "gray": False}]
    write(photo, hints=hints, settings={"saturation": 0.5, "candidate": 2, "seed": 7})
    changed = with_sidecar(str(photo), settings)
    assert changed is not None
    assert changed.hints == ((3.0, 4.0, (0.0, 0.0, 128.0)), (5.0, 6.0, (1.0, 2.0, 3.0)))
    assert (changed.saturation, changed.candidate) == (0.5, (2, 7))
    assert changed.temperature == settings.temperature and changed.key != settings.key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a sidecar"),
        ("[1]", "does not say"),
        ('{"photochrom": "session"}', "does not say"),
        ('{"photochrom": "sidecar", "version": 2}', "version is 2"),
        ('{"photochrom": "sidecar", "settings": {"temprature": 1}}', "did you mean temperature"),
        ('{"photochrom": "sidecar", "settings": {"saturation": "1"}}', "is not a number"),
        ('{"photochrom": "sidecar", "settings": {"saturation": -1}}', "must be 0 or more"),
        ('{"photochrom": "sidecar", "settings": {"candidate": 6}}', "candidate is from 0 to 5"),
        ('{"photochrom": "sidecar", "hints": [{"x": 1}]}', "a hint is not of the form"),
        ('{"photochrom": "sidecar", "hints": [{"x": 1, "y": 1, "color": "nvy"}]}', "mean navy"),
        ("[" * 100_000, "is not a sidecar"),
    ],
)  # fmt: skip
def test_what_is_none_is_named(tmp_path: Path, settings: Settings, text: str, words: str) -> None:
    photo = tmp_path / "a.jpg"
    Path(f"{photo}{SIDECAR}").write_text(text)
    with pytest.raises(PhotoError, match=r"a\.jpg\.photochrom\.json: ") as caught:
        with_sidecar(str(photo), settings)
    assert words in str(caught.value)
    (step,) = plan([(str(photo), str(tmp_path / "b.jpg"))], settings, None)
    assert step.do == "fail" and words in step.why  # it fails alone


@pytest.mark.slow
def test_a_run_follows_it(once: Any, scans: Path, out: Path) -> None:
    draw(scans / "a.png", 1)
    draw(scans / "b.png", 2)
    once()
    assert once() == {"a.png": ("skip", "done"), "b.png": ("skip", "done")}
    plain = (out / "a.png").read_bytes()
    write(scans / "a.png", hints=[{"x": 9, "y": 9, "color": "#ff0000"}], settings={"candidate": 1})
    assert once() == {"a.png": ("done", "other settings"), "b.png": ("skip", "done")}
    assert once() == {"a.png": ("skip", "done"), "b.png": ("skip", "done")}
    assert (out / "a.png").read_bytes() != plain
    settings = lines(out)[-1]["settings"]
    assert settings["hints"] == [[9, 9, [255, 0, 0]]] and settings["candidate"] == [1, 0]
