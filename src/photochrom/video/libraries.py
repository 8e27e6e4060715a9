"""PyAV (the libraries of FFmpeg) and OpenCV, which only films need: the extra `video`."""

from __future__ import annotations

from photochrom.errors import DependencyError

try:
    import av
    import av.error
    import cv2
except ImportError:
    raise DependencyError(
        "films need PyAV and OpenCV", "run pip install 'photochrom[video]'"
    ) from None

__all__ = ["av", "cv2"]
