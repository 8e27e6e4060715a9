"""A client of the studio's service, and photos to send."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image

from photochrom.web.serving.bounds import Bounds
from photochrom.web.serving.listen import address, listen, make_server
from photochrom.web.studio.api import studio_app
from photochrom.web.studio.bodies import max_body
from photochrom.web.studio.kept import Sent
from photochrom.web.studio.studio import Studio

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextlib.contextmanager
def serving(
    studio: Studio,
    key: str | None = None,
    bounds: Bounds | None = None,
    photos: Sequence[str] = (),
    shared: str | None = None,
) -> Iterator[httpx.Client]:
    """A client of a real server, on a socket of its own."""
    with listen("127.0.0.1", 0) as sock:
        limit = max_body(studio.limits.bytes)
        app = studio_app(studio, photos, shared)
        server = make_server(app, sock, key=key, max_body=limit, programs=True, bounds=bounds)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            with httpx.Client(base_url=address(sock), trust_env=False, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


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


def added(studio: Studio, data: bytes) -> str:
    file, path = studio.store.new_file()
    with file:
        file.write(data)
    return asyncio.run(studio.add(Sent(path))).token


def name_of(studio: Studio, token: str) -> str:
    return str(studio.store.get(token).description["prediction"])


def told_at(told: dict[str, Any]) -> str:
    return f"/api/photos/{told['photo']}"


def everything(client: httpx.Client, address: str) -> list[bytes]:
    """All kinds of answers about one prediction."""
    photo = address.partition("/predictions")[0]
    asked = [
        f"{address}/preview?size=120&temperature=0.2",
        f"{address}/preview?size=120&candidate=2&seed=5",
        f"{address}/tile?x=10&y=10&width=64&height=48",
        f"{address}/tile?x=0&y=0&width=128&height=80&scale=2&candidate=1",
        f"{address}/palette?x=30&y=20",
        f"{address}/candidates",
        f"{address}/uncertainty?size=100",
        f"{address}/spots",
        f"{address}/download?format=png&candidate=3",
        f"{photo}/original?size=90",
        f"{photo}/original/tile?x=5&y=6&width=70&height=20",
    ]
    replies = [client.get(query) for query in asked]
    assert [reply.status_code for reply in replies] == [200] * len(asked)
    return [reply.content for reply in replies]


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes true within a minute."""
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.002)
    return holds()


@contextlib.contextmanager
def blocked(studio: Studio) -> Iterator[None]:
    """All threads that render wait until the end of the block."""
    end = threading.Event()
    for _ in range(studio.renders.threads):
        studio.renders._pool.submit(end.wait)
    try:
        yield
    finally:
        end.set()
