"""What a program gives as a photo, and how it gets the result back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from photochrom.errors import PhotoError
from photochrom.photo.open import open_photo
from photochrom.photo.photo import Photo
from photochrom.photo.read import decode_photo

__all__ = ["Back", "opened"]

Back = Callable[[Any], Any]
"""Turns a result, RGB (H, W, 3), into the type that was given."""


def opened(photo: Any) -> tuple[Photo, Back | None]:
    """The photo, and how its result is given back; None for the way of `Photo.restore`.

    Parameters
    ----------
    photo : what `Colorizer.predict` takes

    Raises
    ------
    PhotoError
        It is no photo.
    """
    if isinstance(photo, Photo):
        return photo, None
    if isinstance(photo, bytes | bytearray | memoryview):
        return decode_photo(bytes(photo), "bytes"), None
    torch = sys.modules.get("torch")  # a tensor can only exist once it is loaded
    is_tensor = torch is not None and isinstance(photo, torch.Tensor) and photo.ndim == 3
    if torch is not None and is_tensor and photo.shape[0] in (1, 3) and photo.shape[2] > 4:
        array = np.ascontiguousarray(photo.detach().cpu().movedim(0, -1).numpy())

        def back(rgb: Any) -> Any:
            result = torch.from_numpy(np.ascontiguousarray(np.moveaxis(rgb, -1, 0)))
            return result.to(photo.device)

        return open_photo(array), back
    if callable(getattr(photo, "read", None)):
        data = photo.read()
        if not isinstance(data, bytes):
            raise PhotoError("file: does not yield bytes", 'open it in binary mode, "rb"')
        return decode_photo(data, "file"), None
    return open_photo(photo), None
