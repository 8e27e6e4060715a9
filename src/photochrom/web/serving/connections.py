"""Connections: how many, how slow, how odd."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from photochrom.web.serving.answer import HEADERS, error_answer

__all__ = ["CONNECTIONS", "Connection", "HEAD_SECONDS", "OF_ONE", "mistakes"]

CONNECTIONS = 1024
"""That are open at once."""
OF_ONE = 256
"""Of them, from one address: nobody alone keeps all others out."""
HEAD_SECONDS = 15.0
"""Within which the head of a request has come, however slowly it began."""


class Connection(H11Protocol):
    """One connection: it waits neither for ever for a head, nor beside too many of its kind."""

    _late: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = mistakes  # strangers shall not fill the terminal

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client and self.client[0]
        others = (other for other in self.connections if isinstance(other, Connection))
        if sum(1 for other in others if other.client and other.client[0] == host) > OF_ONE:
            transport.write(_CROWDED)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        if max(len(self.connections), len(self.tasks)) >= CONNECTIONS:
            self.app = _crowded
        else:
            self.app = self.config.loaded_app
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer is on its way already."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_ODD)
        self.transport.close()

    def _watch(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        # The next head, or the rest of a body that nobody reads any more.
        if not (answered and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)):
            self._stop()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    await error_answer(503, _TOO_MANY, {"Retry-After": "5"})(scope, receive, send)


def _plain(status: str, text: str, **more: str) -> bytes:
    """An answer where no application is asked, and the connection ends."""
    body = json.dumps({"error": text}).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **HEADERS,
        **more,
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


_TOO_MANY = "too many connections; try again in a moment"
_CROWDED = _plain("503 Service Unavailable", _TOO_MANY, **{"Retry-After": "5"})
_ODD = _plain("400 Bad Request", "this is no HTTP, or its head is too long")

mistakes = logging.getLogger("uvicorn.error.photochrom")
"""Of connections: mistakes of ours, and not those of whoever connects."""
