"""Connections: how many there may be, how slow, and what is not HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from photochrom.web.serving.answer import HEADERS, error_answer, error_body
from photochrom.web.serving.bounds import Bounds

__all__ = ["Connection", "limited", "mistakes"]


class Connection(H11Protocol):
    """One connection. It is closed if its head is late, or if there are too many connections."""

    bounds = Bounds()
    _late: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = mistakes  # strangers must not fill the terminal

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse it if its address has too many."""
        super().connection_made(transport)
        host = self.client and self.client[0]
        others = (other for other in self.connections if isinstance(other, Connection))
        if (
            sum(1 for other in others if other.client and other.client[0] == host)
            > self.bounds.of_one
        ):
            transport.write(_CROWDED)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Refuse the request if there are too many connections."""
        if max(len(self.connections), len(self.tasks)) >= self.bounds.connections:
            self.app = _crowded
        else:
            self.app = self.config.loaded_app
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP, unless an answer is already on its way."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_ODD)
        self.transport.close()

    def _watch(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        # Waiting for the next head, or for the rest of a body that nobody reads.
        if not (answered and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)):
            self._stop()
        elif self._late is None:
            seconds = self.bounds.head_seconds
            self._late = self.loop.call_later(seconds, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def limited(bounds: Bounds) -> type[Connection]:
    """Connections with these bounds."""
    return type("LimitedConnection", (Connection,), {"bounds": bounds})


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    answer = error_answer(503, *_TOO_MANY, retry=True, headers={"Retry-After": "5"})
    await answer(scope, receive, send)


def _plain(status: str, body: dict[str, Any], **more: str) -> bytes:
    """An answer without an application, after which the connection closes."""
    data = json.dumps(body).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        "Connection": "close",
        **HEADERS,
        **more,
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


_TOO_MANY = "too many connections", "try again in a moment"
_CROWDED = _plain(
    "503 Service Unavailable", error_body(*_TOO_MANY, retry=True), **{"Retry-After": "5"}
)
_ODD = _plain("400 Bad Request", error_body("this is not HTTP, or its head is too long"))

mistakes = logging.getLogger("uvicorn.error.photochrom")
"""The log of connections: our own mistakes, and not those of the clients."""
