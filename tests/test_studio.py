"""The studio's service, as its page and curl use it."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer
from photochrom.web.api import max_body, studio_app
from photochrom.web.server import address, listen, make_server
from photochrom.web.studio import Limits, Studio

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer(threads=1)


@pytest.fixture
def studio(colorizer: Colorizer) -> Iterator[Studio]:
    with Studio(colorizer) as studio:
        yield studio


@contextlib.contextmanager
def serving(studio: Studio, key: str | None = None) -> Iterator[httpx.Client]:
    """A client of a real server, on a socket of its own."""
    with listen("127.0.0.1", 0) as sock:
        limit = max_body(studio.limits.bytes)
        server = make_server(studio_app(studio), sock, key=key, max_body=limit, programs=True)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            with httpx.Client(base_url=address(sock), trust_env=False, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving(studio) as client:
        yield client


def encoded(picture: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.asarray(picture)).save(file, kind, **options)
    return file.getvalue()


def gray_photo(height: int = 90, width: int = 120, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(seed).integers(0, 12, (height, width))
    return ((x * 150 // width + y * 80 // height) + grain).clip(0, 255).astype(np.uint8)


def opened(reply: Any) -> np.ndarray:
    assert reply.status_code == 200, reply.text
    return np.asarray(PIL.Image.open(io.BytesIO(reply.content)))


def send(client: httpx.Client, data: bytes) -> tuple[str, dict[str, Any]]:
    """The address of the photo's first prediction, and its description."""
    reply = client.post("/api/photos", content=data)
    assert reply.status_code == 201, reply.text
    told = reply.json()
    return f"/api/photos/{told['photo']}/predictions/{told['prediction']}", told


def test_a_photo_is_described(client: httpx.Client) -> None:
    _, told = send(client, (EXAMPLES / "castle_clinton.jpg").read_bytes())
    with PIL.Image.open(EXAMPLES / "castle_clinton.jpg") as image:
        size = image.size
    assert (told["width"], told["height"]) == size
    assert told["format"] == "JPEG" and told["extension"] == ".jpg"
    assert told["bits"] == 8 and told["color"] is False
    assert client.get(f"/api/photos/{told['photo']}").json() == told


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


def test_limits_are_told(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(bytes=1000, hints=2)) as studio, serving(studio) as client:
        assert client.get("/api/info").json()["limits"]["bytes"] == 1000
        reply = client.post("/api/photos", content=bytes(1001))
        assert reply.status_code == 413 and "1000 bytes" in reply.json()["error"]


def test_what_is_no_photo_is_415(client: httpx.Client) -> None:
    reply = client.post("/api/photos", content=b"%PDF-1.7 " + bytes(100))
    assert reply.status_code == 415 and "JPEG, PNG" in json.loads(reply.text)["error"]
