"""The studio's service, as its page and curl use it."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest
import pyvips

from photochrom import Colorizer
from photochrom.photo.limits import ReadLimits
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import EXAMPLES, encoded, gray_photo, opened, send, serving


def test_a_photo_is_described(client: httpx.Client) -> None:
    _, told = send(client, (EXAMPLES / "castle_clinton.jpg").read_bytes())
    with PIL.Image.open(EXAMPLES / "castle_clinton.jpg") as image:
        size = image.size
    assert (told["width"], told["height"]) == size
    assert told["format"] == "JPEG" and told["extension"] == ".jpg"
    assert told["bits"] == 8 and told["color"] is False
    assert client.get(f"/api/photos/{told['photo']}").json() == told


@pytest.mark.slow
def test_a_damaged_photo_spoils_no_other(client: httpx.Client) -> None:
    whole = bytes(pyvips.Image.black(64, 48, bands=3).heifsave_buffer(compression="av1", effort=0))
    assert whole.count(b"pixi") == whole.count(b"\x03\x81\x02\x03") == 1
    damaged = whole.replace(b"pixi", b"pix\xf4")  # which libvips quotes, as it is marked as needed
    damaged = damaged.replace(b"\x03\x81\x02\x03", b"\x03\x81\x02\x83")
    reply = client.post("/api/photos", content=damaged)
    assert reply.status_code == 422 and "cannot be read" in reply.text
    for kind in ("PNG", "JPEG", "TIFF", "AVIF"):
        address, _ = send(client, encoded(gray_photo(), kind))
        assert client.get(f"{address}/download?format=png").status_code == 200


@pytest.mark.slow
def test_the_download_is_what_the_command_makes(
    client: httpx.Client, colorizer: Colorizer, tmp_path: Path
) -> None:
    photo = EXAMPLES / "moose.jpg"
    address, _ = send(client, photo.read_bytes())
    reply = client.get(f"{address}/download?format=png&temperature=0.5&saturation=0.8")
    colorizer.predict(photo).save(tmp_path / "x.png", 0.5, 0.8)
    assert np.array_equal(opened(reply), np.asarray(PIL.Image.open(tmp_path / "x.png")))
    assert reply.headers["content-disposition"] == 'attachment; filename="photochrom.png"'


def test_examples_can_be_sent(client: httpx.Client) -> None:
    examples = client.get("/api/examples").json()["examples"]
    assert len(examples) >= 3
    for example in examples:
        picture = client.get(example["url"])
        assert opened(picture).shape == (example["height"], example["width"])
    _, told = send(client, picture.content)
    assert told["color"] is False


def test_pictures_have_their_size(client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo(90, 120)))
    photo = address.partition("/predictions")[0]
    for size, shape in ((64, (48, 64)), (4000, (90, 120))):
        assert opened(client.get(f"{address}/preview?size={size}")).shape == (*shape, 3)
        assert opened(client.get(f"{photo}/original?size={size}")).shape == shape
        assert opened(client.get(f"{address}/uncertainty?size={size}")).shape == shape
    for scale, shape in ((1, (33, 50)), (2, (17, 26)), (8, (5, 7))):
        box = f"x=3&y=6&width=50&height=33&scale={scale}"
        assert opened(client.get(f"{address}/tile?{box}")).shape == (*shape, 3)
        assert opened(client.get(f"{photo}/original/tile?{box}")).shape == shape


@pytest.mark.slow
def test_limits_are_told(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(bytes=1000, hints=2)) as studio, serving(studio) as client:
        assert client.get("/api/info").json()["limits"]["bytes"] == 1000
        reply = client.post("/api/photos", content=bytes(1001))
        assert reply.status_code == 413 and "1000 bytes" in reply.json()["error"]


@pytest.mark.slow
def test_a_photo_too_large_for_the_studio_is_sent_to_the_command(colorizer: Colorizer) -> None:
    limits = Limits(pixels=1000, reading=ReadLimits(max_pixels=2000))
    with Studio(colorizer, limits) as studio, serving(studio) as client:
        for width, remedy in ((50, "color it with the command photochrom colorize"), (99, "scale")):
            made = io.BytesIO()
            PIL.Image.new("L", (width, 40), 99).save(made, "PNG")
            reply = client.post("/api/photos", content=made.getvalue())
            said = reply.json()
            assert reply.status_code == 413 and said["remedy"].startswith(remedy)
            assert said["problem"].startswith(f"{width} x 40 pixels are over")


def test_what_is_no_photo_is_415(client: httpx.Client) -> None:
    reply = client.post("/api/photos", content=b"GIF89a " + bytes(100))
    assert reply.status_code == 415 and reply.json()["problem"].startswith("not a JPEG, PNG")
