"""Which errors become which answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from photochrom.errors import ConfigError, HintError, PhotochromError
from photochrom.web.serving.answer import error_answer
from photochrom.web.studio.bodies import studio_of
from photochrom.web.studio.lane import Busy
from photochrom.web.studio.store import Gone, NoRoom, Unknown

__all__ = ["add_error_answers"]

_LATER = {"Retry-After": "10"}


def add_error_answers(app: FastAPI) -> None:
    """Have an application of the studio answer its errors as JSON, see `error_answer`."""
    handlers: dict[type[Exception], Callable[[Request, Any], Response]] = {
        RequestValidationError: _invalid,
        ConfigError: _unusable,
        HintError: _unusable,
        Unknown: _unknown,
        Gone: _gone,
        MemoryError: _too_large,
        NoRoom: _no_room,
        TimeoutError: _late,
        ClientDisconnect: _left,
        Busy: _busy,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _invalid(_: Request, error: RequestValidationError) -> Response:
    """The first thing that is wrong with a request, and its place."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    return error_answer(422, f"{'.'.join(place) or 'the request'}: {first['msg']}")


def _unusable(_: Request, error: PhotochromError) -> Response:
    return error_answer(422, error.problem, error.remedy, retry=error.retry)


def _unknown(_: Request, error: Unknown) -> Response:
    return error_answer(404, "no such photo or prediction", "send the photo again")


def _gone(_: Request, error: Gone) -> Response:
    return error_answer(410, "the photo made room for others", "send it again")


def _too_large(_: Request, error: MemoryError) -> Response:
    return error_answer(
        503, "the server doesn't have enough memory for this", "use a smaller photo"
    )


def _no_room(_: Request, error: NoRoom) -> Response:
    problem = "other transfers take up all the room for files"
    return error_answer(503, problem, "try again in a moment", retry=True, headers=_LATER)


def _late(request: Request, error: TimeoutError) -> Response:
    seconds = studio_of(request).limits.seconds
    return error_answer(503, f"it took longer than {seconds:g} seconds", retry=True, headers=_LATER)


def _left(_: Request, error: ClientDisconnect) -> Response:
    return error_answer(499, "the client has gone")  # nobody reads this


def _busy(_: Request, error: Busy) -> Response:
    headers = {"Retry-After": str(error.seconds)}
    problem = "too many requests are waiting"
    return error_answer(429, problem, "try again in a moment", retry=True, headers=headers)
