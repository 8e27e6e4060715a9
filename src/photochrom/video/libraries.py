"""PyAV (the libraries of FFmpeg) and OpenCV, which only film needs: the extra `video`."""

from __future__ import annotations

from photochrom.errors import DependencyError

try:
    import av
    import av.error
    import cv2
except ImportError as error:
    raise DependencyError(
        f"film needs PyAV and OpenCV ({error.name or error} is missing)",
        "pip install 'photochrom[video]'",
    ) from None

__all__ = ["av", "cv2"]
