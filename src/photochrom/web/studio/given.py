"""Photos that the studio was started with: the page opens them, and decisions are kept beside them.

`photochrom studio old.jpg` names files on this machine, so the studio may write there what
`photochrom colorize` follows: a sidecar. A photo that was sent has no such place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from photochrom.batch.sidecar import plain_hint, read_sidecar, write_sidecar
from photochrom.errors import ConfigError, PhotoError
from photochrom.text import printable
from photochrom.web.serving.answer import Refused
from photochrom.web.studio.limits import CANDIDATES
from photochrom.web.studio.schema import HintIn

__all__ = ["checked_photos", "router"]

# Of the page alone: programs have the files themselves, and `photochrom colorize`.
router = APIRouter(include_in_schema=False)
_USUAL = {"temperature", "saturation", "candidate", "seed"}


def checked_photos(names: Sequence[str]) -> list[str]:
    """The absolute paths of photos that were named.

    Raises
    ------
    ConfigError
        One is no file.
    """
    for name in names:
        if os.path.isdir(name):
            raise ConfigError(f"{name}: is a folder", "name photos, or choose a folder on the page")
        if not os.path.isfile(name):
            raise ConfigError(f"{name}: no such file", "check the name")
    return [os.path.abspath(name) for name in names]


class SettingsIn(BaseModel):
    """Settings that differ from the usual ones."""

    model_config = ConfigDict(extra="forbid")
    temperature: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    saturation: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    candidate: int | None = Field(default=None, ge=0, lt=CANDIDATES)
    seed: int | None = Field(default=None, ge=0, lt=1 << 32)


class SidecarIn(BaseModel):
    """What was decided about a photo."""

    model_config = ConfigDict(extra="forbid")
    hints: list[HintIn] = Field(default_factory=list)
    settings: SettingsIn = Field(default_factory=SettingsIn)


@router.get("/api/given")
def given(request: Request) -> dict[str, Any]:
    """The photos, with what their sidecars say."""
    photos: list[str] = request.app.state.given
    return {"photos": [_described(number, path) for number, path in enumerate(photos)]}


def _described(number: int, path: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": printable(os.path.basename(path)),
        "url": f"/api/given/{number}",
        "bytes": os.path.getsize(path) if os.path.isfile(path) else 0,
        "hints": [],
        "settings": {},
        "problem": "",
    }
    try:
        said = read_sidecar(path)
    except PhotoError as error:
        return told | {"problem": printable(str(error))}
    if said is None:
        return told
    hints = [plain_hint(hint) for hint in said.hints]
    settings = {name: value for name, value in said.settings.items() if name in _USUAL}
    return told | {"hints": hints, "settings": settings}


@router.get("/api/given/{number}")
def given_photo(request: Request, number: int) -> FileResponse:
    """The file itself."""
    path = _path(request, number)
    if not os.path.isfile(path):
        raise Refused(404, "the photo is no longer in its folder", "open it from where it is now")
    return FileResponse(path, media_type="application/octet-stream")


@router.put("/api/given/{number}/sidecar", status_code=204)
def keep(request: Request, number: int, body: SidecarIn) -> None:
    """Write the sidecar of a photo; one that would say nothing is removed."""
    settings = body.settings.model_dump(exclude_none=True)
    try:
        write_sidecar(_path(request, number), [hint.hint for hint in body.hints], settings)
    except PhotoError as error:
        raise Refused.because(409, error) from None


def _path(request: Request, number: int) -> str:
    photos: list[str] = request.app.state.given
    if not 0 <= number < len(photos):
        raise Refused(404, "the studio was not started with such a photo")
    return photos[number]
