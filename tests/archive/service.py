"""An S3 service over HTTP on this machine, which fails now and then if it is told to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Start = Callable[..., Any]


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Service:
    """Moto's server; of every `fails` calls, one fails: half of these after they were done."""

    def __init__(self) -> None:
        self.fails = 0
        self.calls = 0
        self.failed = 0
        self._count = itertools.count(1)
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        number = next(self._count)
        self.calls = number
        if not self.fails or number % self.fails:
            return self._inner(environ, start)
        self.failed += 1
        if self.failed % 2:
            list(self._inner(environ, lambda *a: lambda data: None))  # done, but nobody hears of it
        else:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(length)
        body = b"<Error><Code>SlowDown</Code><Message>Please wait.</Message></Error>"
        start("503 Slow Down", [("Content-Type", "application/xml"),
                                ("Content-Length", str(len(body)))])  # fmt: skip
        return [body]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
