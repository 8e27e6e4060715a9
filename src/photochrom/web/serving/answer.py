"""The headers of all answers, and errors as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from photochrom.errors import PhotochromError

__all__ = ["HEADERS", "Refused", "error_answer", "error_body"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(HTTPException):
    """A request that is refused, with its HTTP status.

    Parameters
    ----------
    status : of HTTP
    problem, remedy, retry : as in `PhotochromError`
    headers : of the answer
    """

    def __init__(
        self,
        status: int,
        problem: str,
        remedy: str = "",
        *,
        retry: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, f"{problem}; {remedy}" if remedy else problem, headers)
        self.problem, self.remedy, self.retry = problem, remedy, retry

    @classmethod
    def because(cls, status: int, error: PhotochromError) -> Refused:
        """A refusal with the words of an error."""
        return cls(status, error.problem, error.remedy, retry=error.retry)


def error_body(problem: str, remedy: str = "", retry: bool = False) -> dict[str, Any]:
    """What the client gets: the whole text as `error`, and its parts as data."""
    error = f"{problem}; {remedy}" if remedy else problem
    return {"error": error, "problem": problem, "remedy": remedy, "retry": retry}


def error_answer(
    status: int,
    problem: str,
    remedy: str = "",
    *,
    retry: bool = False,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error as an answer.

    Parameters
    ----------
    status : of HTTP
    problem : what is wrong
    remedy : what the user can do about it; "" if the problem says it
    retry : whether the same request may succeed later
    headers : further ones
    """
    return JSONResponse(error_body(problem, remedy, retry), status, headers)
