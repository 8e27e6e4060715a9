"""A FastAPI application behind the guard."""

from __future__ import annotations

import sys
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from photochrom.errors import PhotochromError
from photochrom.text import printable
from photochrom.web.serving.answer import error_answer

__all__ = ["STATIC", "make_app"]

STATIC = Path(__file__).parent.parent / "static"


def make_app(page: str) -> FastAPI:
    """An application with one page, static/PAGE/index.html, and its files; without an API browser.

    Errors reach the client as ``{"error": text}`` and never with a traceback: 503 for a
    PhotochromError, which may pass, such as a full disk, and 500 for a mistake of ours.
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

    # One route a file: no name that a client sends is ever looked up on the disk.
    folder = STATIC / page
    offer("/", folder / "index.html")
    for file in folder.iterdir():
        offer(f"/static/{file.name}", file)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        # FastAPI's word for a body that is no JSON; ours for all that is not understood is 422.
        status = 422 if error.status_code == 400 else error.status_code
        return error_answer(status, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        return error_answer(422, "the request is not understood; reload the page")

    @app.exception_handler(PhotochromError)
    def failed(_: Request, error: PhotochromError) -> Response:
        # For whoever runs the server.
        print("photochrom: " + printable(str(error), keep="\n"), file=sys.stderr)
        return error_answer(503, "the server cannot do this now; see its terminal")

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> Response:
        # The traceback goes to the terminal, for the error is raised on once this is sent.
        return error_answer(500, "something went wrong here; see the server's terminal")

    return app
