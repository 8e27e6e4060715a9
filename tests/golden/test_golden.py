"""Nothing changes for the user: results of every kind are those that were recorded.

A change that means to alter results runs `record.py`, and says why. What a file says is compared
exactly. Pixels are compared within the tolerance below, because the sums of the network are rounded
in another order on another processor; `record.py --bytes` is for those who want every byte.
"""

from __future__ import annotations

import io
import json
import lzma
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.golden.cases import COMMANDED, INPUTS, Case, cases
from tests.golden.description import describe
from tests.golden.record import EXPECTED, PIXELS, command_on_folder

CASES = cases()


class Tolerance(NamedTuple):
    """How far pixels may be from the recorded ones, in steps of 8 bits."""

    most: float  # of nearly all values
    rare: float  # of the others
    share: float  # that the others may be
    mean: float  # of all


LOSSLESS = Tolerance(most=1, rare=2, share=0.01, mean=0.05)
JPEG = Tolerance(most=2, rare=12, share=0.05, mean=0.4)  # one step before moves some after it
# These choose by the pixels how each block is coded: one step may become another choice.
BLOCKS = Tolerance(most=4, rare=24, share=0.1, mean=2)
MODE = BLOCKS  # at temperature 0 the likeliest color counts, and two may be as likely
BY_KIND = {"JPEG": JPEG, "WebP": BLOCKS, "AVIF": BLOCKS, "HEIC": BLOCKS}


@lru_cache
def expected() -> dict[str, Any]:
    said: dict[str, Any] = json.loads(EXPECTED.read_text("utf-8"))
    return said


@lru_cache
def pixels() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(lzma.decompress(PIXELS.read_bytes()))) as file:
        return dict(file)


def check(name: str, result: Any, allowed: Tolerance | None = None) -> None:
    """A result against what is recorded under a name."""
    if isinstance(result, str):
        assert result == expected()[name]
        return
    said, found = describe(result)
    assert json.loads(json.dumps(said)) == expected()[name]
    recorded = {key: value for key, value in pixels().items() if key.rpartition("/")[0] == name}
    assert {f"{name}/{page}" for page in found} == recorded.keys()
    for page, samples in found.items():
        check_pixels(samples, recorded[f"{name}/{page}"], allowed or tolerance(said))


def tolerance(said: dict[str, Any]) -> Tolerance:
    if said["kind"] == "TIFF" and said["pages"][0]["tags"]["259"][3] == 7:  # JPEG inside
        return JPEG
    return BY_KIND.get(said["kind"], LOSSLESS)


def check_pixels(found: np.ndarray, recorded: np.ndarray, allowed: Tolerance) -> None:
    assert (found.dtype, found.shape) == (recorded.dtype, recorded.shape)
    step = {"f": 1 / 255, "b": 1}.get(found.dtype.kind) or np.iinfo(found.dtype).max / 255
    wrong = np.abs(found.astype(np.float64) - recorded.astype(np.float64)) / step
    assert wrong.max() <= allowed.rare
    assert (wrong > allowed.most * 1.001).mean() <= allowed.share
    assert wrong.mean() <= allowed.mean


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_result_is_as_recorded(case: Case, tmp_path: Path) -> None:
    allowed = MODE if case.settings.get("temperature") == 0 else None
    check(case.name, case.run(tmp_path), allowed)
    assert {path.name for path in tmp_path.iterdir()} <= {case.name}


def test_the_command_on_a_folder_does_as_recorded(tmp_path: Path) -> None:
    said = command_on_folder(tmp_path)
    assert json.loads(json.dumps(said)) == expected()["photochrom colorize"]
    for name in said["files"]:
        own = Path(name).name
        check(f"{own}{Path(own).suffix}", tmp_path / "out" / name)


def test_every_input_is_used_and_every_record_is_compared() -> None:
    assert len(list(INPUTS.iterdir())) > 100
    names = {case.name for case in CASES}
    assert expected().keys() == names | {"photochrom colorize"}
    of_pixels = {name for name in names if not isinstance(expected()[name], str)}
    assert {key.rpartition("/")[0] for key in pixels()} == of_pixels
    assert set(COMMANDED) <= {path.name for path in INPUTS.iterdir()}


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (lambda p: p, False),
        (lambda p: np.where(np.arange(p.size).reshape(p.shape) % 25, p, p + 1), False),
        (lambda p: p + 1, True),
        (lambda p: np.where(np.arange(p.size).reshape(p.shape) % 60, p, p + 2), True),
        (lambda p: np.where(np.arange(p.size).reshape(p.shape), p, p + 3), True),
        (lambda p: p[:, ::-1], True),
        (lambda p: p.astype(np.uint16), True),
    ],
)
def test_pixels_that_are_others_are_found(change: Any, refused: bool) -> None:
    recorded = pixels()["gray.png.png/"]
    found = change(np.minimum(recorded, 250)).astype(change(recorded).dtype)
    try:
        check_pixels(found, np.minimum(recorded, 250), LOSSLESS)
    except AssertionError:
        assert refused
    else:
        assert not refused
