"""PyAV (the libraries of FFmpeg) and OpenCV, which only film needs: the extra `video`."""

from __future__ import annotations

from photochrom.errors import DependencyError

try:
    import av
    import av.error
    import cv2
except ImportError:
    raise DependencyError(
        "film needs PyAV and OpenCV", "run pip install 'photochrom[video]'"
    ) from None

__all__ = ["av", "cv2"]
