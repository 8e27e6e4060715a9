"""The routes for photos: send, describe, forget, show, and color in one step."""

from __future__ import annotations

import contextlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from photochrom.photo.formats.table import TYPES
from photochrom.web.studio.bodies import answer, attachment, studio_of, take
from photochrom.web.studio.description import (
    BODY_OF_PHOTO,
    OF_PHOTO,
    made_answer,
    problem_responses,
)
from photochrom.web.studio.kept import Sent
from photochrom.web.studio.limits import VIEW
from photochrom.web.studio.schema import Boxed, Format, Framed, Looked, PhotoOut, Size
from photochrom.web.studio.store import Gone, Unknown, Upload

__all__ = ["router"]

router = APIRouter(tags=["photos"])
OF = "/api/photos/{photo}"


@router.post(
    "/api/photos",
    status_code=201,
    response_model=PhotoOut,
    responses=problem_responses(415),
    openapi_extra=BODY_OF_PHOTO,
)
async def add(request: Request, framing: Framed) -> dict[str, Any]:
    """Send a photo: it is decoded, and the network runs on it once."""
    studio = studio_of(request)
    path = await take(request, studio.decodes)

    def forget(late: Upload) -> None:
        with contextlib.suppress(Unknown, Gone):
            studio.store.remove(late.token)

    upload = await answer(request, studio.add(Sent(path, framing)), forget)
    return upload.description


@router.get(OF, response_model=PhotoOut, responses=OF_PHOTO)
def describe(request: Request, photo: str) -> dict[str, Any]:
    """The description of a photo."""
    return studio_of(request).store.get(photo).description


@router.delete(OF, status_code=204, responses=OF_PHOTO)
def delete(request: Request, photo: str) -> None:
    """Forget a photo and everything made of it."""
    studio_of(request).store.remove(photo)


@router.get(OF + "/original", **made_answer("image/jpeg"))
async def original(request: Request, photo: str, size: Size = VIEW) -> Response:
    """The photo itself, with the geometry of a preview."""
    data = await answer(request, studio_of(request).original(photo, size))
    return Response(data, media_type="image/jpeg")


@router.get(OF + "/original/tile", **made_answer("image/jpeg"))
async def original_tile(request: Request, photo: str, box: Boxed) -> Response:
    """A rectangle of the photo itself, with the geometry of a colored tile."""
    data = await answer(request, studio_of(request).original_tile(photo, box))
    return Response(data, media_type="image/jpeg")


@router.post(
    "/api/color",
    openapi_extra=BODY_OF_PHOTO,
    response_class=Response,
    responses={
        200: {
            "description": "the photo in color",
            "content": {kind: {} for kind in dict.fromkeys(TYPES.values())},
        },
        **problem_responses(415),
    },
)
async def color(request: Request, look: Looked, framing: Framed, format: Format = None) -> Response:
    """Send a photo, get it back in color; the server keeps nothing of it."""
    studio = studio_of(request)
    path = await take(request, studio.exports)
    try:
        extension = None if format is None else f".{format}"
        work = studio.color(Sent(path, framing), look, extension)
        return attachment(await answer(request, work, studio.discard), studio)
    finally:
        studio.store.release(path)
