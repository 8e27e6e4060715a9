"""The FastAPI application of a page: its files, and its errors."""

from __future__ import annotations

import sys
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from photochrom.errors import PhotochromError
from photochrom.text import printable
from photochrom.web.serving.answer import Refused, error_answer

__all__ = ["STATIC", "make_app"]

STATIC = Path(__file__).parent.parent / "static"


def make_app(page: str) -> FastAPI:
    """An application with one page, static/PAGE/index.html, and its files; without an API browser.

    Errors reach the client as JSON, see `answer.error_body`, and never with a traceback. The status
    is 503 for a PhotochromError, which may pass, such as a full disk, and 500 for a bug.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def offer(address: str, file: Path) -> None:
        app.add_api_route(
            address,
            lambda: FileResponse(file),
            methods=["GET", "HEAD"],
            response_class=FileResponse,
            include_in_schema=False,
        )

    # One route per file: we never look up a name on the disk that a client sent.
    folder = STATIC / page
    offer("/", folder / "index.html")
    for file in folder.iterdir():
        offer(f"/static/{file.name}", file)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        if isinstance(error, Refused):
            parts = error.problem, error.remedy
            return error_answer(error.status_code, *parts, retry=error.retry, headers=error.headers)
        # FastAPI answers 400 if a body is not JSON. We answer 422 to all that cannot be understood.
        status = 422 if error.status_code == 400 else error.status_code
        return error_answer(status, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        return error_answer(422, "the request cannot be understood", "reload the page")

    @app.exception_handler(PhotochromError)
    def failed(_: Request, error: PhotochromError) -> Response:
        # For the person who runs the server.
        print("photochrom: " + printable(str(error), keep="\n"), file=sys.stderr)
        return error_answer(
            503, "the server cannot do this now", "look at its terminal", retry=True
        )

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> Response:
        # The traceback goes to the terminal, because the error is raised again after this answer.
        return error_answer(500, "something went wrong", "look at the server's terminal")

    return app
