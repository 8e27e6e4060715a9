"""A site, as any web host serves it."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import expect

from photochrom.web.site.build import write_site
from photochrom.web.site.runtime import vendored

expect.set_options(timeout=120_000)  # for a page that never gets there, not for a slow machine

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}


class Handler(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path: Any) -> str:
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def log_message(self, *words: Any) -> None:
        pass


class Host(NamedTuple):
    """Something that serves a folder, until it is taken away."""

    folder: Path
    url: str
    close: Callable[[], None]


@pytest.fixture(scope="module")
def host() -> Iterator[Callable[..., Host]]:
    """Serves a folder as plain files, below a path: not every site is at the root of its host."""
    servers = []

    def serve(folder: Path, root: bool = False) -> Host:
        handler = functools.partial(Handler, directory=str(folder if root else folder.parent))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        url += "" if root else f"{folder.name}/"

        def close() -> None:
            server.shutdown()
            server.server_close()

        return Host(folder, url, close)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def runtime() -> Path:
    """ONNX Runtime for the web."""
    folder = vendored()
    if folder is None:
        pytest.skip("ONNX Runtime for the web is not here: run `make site-runtime`")
    return folder


@pytest.fixture(scope="session")
def site(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with the model that sites have."""
    return write_site(tmp_path_factory.mktemp("web") / "site", runtime).folder


class Server(NamedTuple):
    """A site in the place of a studio, for the studio's own tests."""

    url: str


@pytest.fixture(scope="module")
def server(host: Callable[..., Host], site: Path) -> Server:
    """A site at the root of its host."""
    return Server(host(site, root=True).url)
