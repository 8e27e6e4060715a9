"""A site, as any web host serves it."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from photochrom.web.site.build import write_site
from photochrom.web.site.runtime import vendored

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
def host() -> Iterator[Callable[[Path], Host]]:
    """Serves a folder as plain files, below a path: not every site is at the root of its host."""
    servers = []

    def serve(folder: Path) -> Host:
        handler = functools.partial(Handler, directory=str(folder.parent))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_address[1]}/{folder.name}/"

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


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a site in a browser of its own; what goes wrong, or leaves the site, fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_page(url: str, **options: Any) -> Page:
        contexts.append(chromium.new_context(**{"reduced_motion": "reduce", **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: "Security Policy" in m.text and wrong.append(m.text))
        contexts[-1].on(
            "request",
            lambda r: r.url.startswith((url, "data:", "blob:")) or wrong.append(r.url),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
