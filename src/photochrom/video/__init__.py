"""Films and videos: gray frames, colored so that the colors stay steady in time.

It needs the extra `video`; nothing else in photochrom does.
"""

from __future__ import annotations

from photochrom.video.encode import Quality
from photochrom.video.film import ColoredFrame, Report, Settings, color_film, frames
from photochrom.video.stills import write_stills
from photochrom.video.stretch import Pace

__all__ = [
    "ColoredFrame",
    "Pace",
    "Quality",
    "Report",
    "Settings",
    "color_film",
    "frames",
    "write_stills",
]
