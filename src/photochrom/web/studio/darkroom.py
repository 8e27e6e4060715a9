"""The studio's work on one photo: decode, predict, render, encode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photochrom.errors import PhotoError
from photochrom.web.studio.limits import Refused

__all__ = ["told_losses"]


@contextlib.contextmanager
def told_losses() -> Iterator[None]:
    """A photo that cannot be used is its sender's: a large one shows it when it is first read."""
    try:
        yield
    except PhotoError as error:
        raise Refused(422, str(error)) from None
