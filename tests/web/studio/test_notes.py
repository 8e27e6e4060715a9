"""The studio gives back all pages, and says what a result cannot hold."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile

from photochrom import Colorizer
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import encoded, gray_photo, send, serving


def pages_file() -> bytes:
    """Three pages: of 8 bits, of 16, and one that stands upright."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(gray_photo(60, 90), metadata=None)
        writer.write(gray_photo(40, 50, 1).astype(np.uint16) * 257, metadata=None)
        writer.write(gray_photo(70, 30, 2), metadata=None)
    return file.getvalue()


def notes_of(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    found: list[str] = json.loads(reply.headers.get("photochrom-notes", "[]"))
    return found


def shapes(data: bytes) -> list[Any]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [(page.shape, page.dtype.name) for page in file.pages]


THREE = [((60, 90, 3), "uint8"), ((40, 50, 3), "uint16"), ((70, 30, 3), "uint8")]


@pytest.mark.slow
def test_a_file_of_several_pages_comes_back_with_all_of_them(
    client: httpx.Client, colorizer: Colorizer, tmp_path: Any
) -> None:
    data = pages_file()
    address, told = send(client, data)
    assert (told["pages"], told["notes"]) == (3, [])
    whole = client.get(f"{address}/download?temperature=0.5")
    assert notes_of(whole) == [] and shapes(whole.content) == THREE
    (tmp_path / "a.tif").write_bytes(data)
    colorizer.color_file(tmp_path / "a.tif", tmp_path / "b.tif", temperature=0.5)
    for number in range(3):
        np.testing.assert_array_equal(
            tifffile.imread(io.BytesIO(whole.content), key=number),
            tifffile.imread(tmp_path / "b.tif", key=number),
        )
    at_once = client.post("/api/color", content=data)
    assert shapes(at_once.content) == THREE


@pytest.mark.slow
def test_a_format_of_one_page_says_so(client: httpx.Client) -> None:
    address, _ = send(client, pages_file())
    (note,) = notes_of(client.get(f"{address}/download?format=png"))
    assert note.startswith("holds 3 pages, and PNG holds one")
    (note,) = notes_of(client.post("/api/color?format=jpg", content=pages_file()))
    assert "JPEG holds one" in note


@pytest.mark.slow
def test_pages_that_are_too_large_together_are_refused(colorizer: Colorizer) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for number in range(5):
            writer.write(gray_photo(60, 90, number), metadata=None)
    with Studio(colorizer, Limits(pixels=5400)) as studio, serving(studio) as client:
        address, _ = send(client, file.getvalue())
        reply = client.get(f"{address}/download")
        assert reply.status_code == 413
        assert "photochrom colorize" in reply.json()["remedy"]
        assert client.get(f"{address}/download?format=png").status_code == 200


@pytest.mark.slow
def test_what_the_result_cannot_hold_is_in_the_answers(client: httpx.Client) -> None:
    data = encoded(gray_photo(), "JPEG")
    credentials = b"JP\0\1\0\0\0\1jumb"
    data = (
        data[:20] + b"\xff\xeb" + struct.pack(">H", 2 + len(credentials)) + credentials + data[20:]
    )
    address, told = send(client, data)
    expected = ["its content credentials cannot be kept"]
    assert told["notes"] == notes_of(client.get(f"{address}/download")) == expected
    assert notes_of(client.post("/api/color", content=data)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("extension", ["jfif", "jpe", "jif"])
def test_other_names_of_jpeg_are_formats(client: httpx.Client, extension: str) -> None:
    reply = client.post(f"/api/color?format={extension}", content=encoded(gray_photo(), "PNG"))
    assert reply.headers["content-type"] == "image/jpeg"
    assert f"photochrom.{extension}" in reply.headers["content-disposition"]
