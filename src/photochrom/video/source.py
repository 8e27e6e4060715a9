"""Read a film: its properties, and its frames one after the other."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from photochrom.errors import FilmError
from photochrom.video.libraries import av
from photochrom.video.luma import MATRICES, Luma, Scale, direct_format, plane_of

__all__ = ["Facts", "Film", "Picture"]

_LIMITED, _FULL = 1, 2  # AVColorRange
_BT709, _BT601 = 1, 6  # ITU-T H.273, MatrixCoefficients
_UNKNOWN = (0, 2, 3)  # of H.273: RGB, unspecified, reserved
_LIMITED_GRAY = ("h264", "hevc", "av1", "vp9", "mpeg2video", "mpeg4")
"""Codecs whose gray frames have limited range unless they say otherwise; others have full."""


@dataclass(frozen=True)
class Facts:
    """The properties of a film, from the file and its first frame.

    Attributes
    ----------
    path : of the file
    height, width : of the stored frame, pixels
    scale : how numbers stand for Y'
    matrix, transfer : numbers of ITU-T H.273; a matrix that is not stated is BT.601 for sizes
        of standard definition, else BT.709
    time_base : seconds of a tick
    rate : frames a second on average; None if unknown
    aspect : width of a pixel by its height
    display : the nine numbers of a display matrix, or None
    turns : quarter turns, counterclockwise, that bring the stored frame upright
    interlaced : whether the first frame is
    computed : whether Y' had to be computed, from RGB
    count : approximate number of frames; 0 if unknown
    """

    path: str
    height: int
    width: int
    scale: Scale
    matrix: int
    transfer: int
    time_base: Fraction
    rate: Fraction | None
    aspect: Fraction
    display: tuple[int, ...] | None
    turns: int
    interlaced: bool
    computed: bool
    count: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) as shown: upright, with square pixels."""
        wide = max(1, round(self.width * float(self.aspect)))
        return (wide, self.height) if self.turns % 2 else (self.height, wide)


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame: Y' (H, W), when it is shown and for how long (0: unknown), in ticks."""

    luma: Luma
    pts: int
    duration: int


class Film:
    """A film file.

    Parameters
    ----------
    path : of the file
    deinterlace : whether to turn interlaced frames into full ones
    threads : cores for decoding; 0 for all

    Attributes
    ----------
    facts : Facts
    damaged : places that could not be decoded, in the last run through `pictures`

    Raises
    ------
    FilmError
        It cannot be read, or there is no frame in it.
    """

    def __init__(
        self, path: str | os.PathLike[str], deinterlace: bool = False, threads: int = 0
    ) -> None:
        self.path = os.fspath(path)
        self.deinterlace = deinterlace
        self.threads = threads
        self.damaged = 0
        if not os.path.exists(self.path):
            raise FilmError(f"{self.path}: no such file")
        if os.path.isdir(self.path):
            raise FilmError(f"{self.path}: is a folder, not a film")
        with self.open() as container:
            stream = self.stream(container)
            frame = next(self._decoded(container, stream), None)
            if frame is None:
                raise FilmError(
                    f"{self.path}: none of its frames can be decoded",
                    "it may be damaged; restore it from a copy",
                )
            self.facts = _facts(self.path, container, stream, frame)

    def open(self) -> Any:
        """The container, to be closed by the caller."""
        try:
            return av.open(self.path, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise FilmError(f"{self.path}: cannot be read as a film: {why}") from None

    def stream(self, container: Any) -> Any:
        """The video stream to color."""
        films = [s for s in container.streams.video if not s.disposition & _ATTACHED]
        if not films:
            raise FilmError(f"{self.path}: has no video, only sound or text")
        return container.streams.best("video") if len(films) > 1 else films[0]

    def pictures(self) -> Iterator[Picture]:
        """All frames in the order of time. Those that cannot be decoded are skipped and counted."""
        self.damaged = 0
        facts = self.facts
        last: int | None = None
        step = max(1, round(1 / (facts.rate * facts.time_base))) if facts.rate else 1
        with self.open() as container:
            stream = self.stream(container)
            for frame in self._decoded(container, stream):
                if (frame.height, frame.width) != (facts.height, facts.width):
                    raise FilmError(
                        f"{self.path}: the frame size changes to {frame.width} x {frame.height} in "
                        "the middle",
                        "cut it there, and color the parts",
                    )
                pts = frame.pts
                if pts is not None and frame.time_base not in (None, stream.time_base):
                    pts = round(pts * frame.time_base / stream.time_base)
                if pts is None or (last is not None and pts <= last):
                    pts = 0 if last is None else last + step
                last = pts
                name = direct_format(frame.format)
                if name != frame.format.name:
                    frame = frame.reformat(format=name, dst_colorspace="ITU709")
                luma, _ = plane_of(frame)
                yield Picture(luma, pts, frame.duration or 0)

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self.threads
        graph = _deinterlacer(stream) if self.deinterlace else None
        for frame in self._raw(container, stream):
            if frame.is_corrupt:
                self.damaged += 1
            if graph is None:
                yield frame
                continue
            graph.push(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _raw(self, container: Any, stream: Any) -> Iterator[Any]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damaged += 1
                if self.damaged > _HOPELESS:
                    raise FilmError(f"{self.path}: is damaged in too many places") from None


_HOPELESS = 10_000
_ATTACHED = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: a cover


def _deinterlacer(stream: Any) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream)
    whole = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(whole)
    whole.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _facts(path: str, container: Any, stream: Any, frame: Any) -> Facts:
    name = direct_format(frame.format)
    computed = frame.format.is_rgb or frame.format.has_palette or frame.format.is_bit_stream
    bits = frame.format.components[0].bits
    if name != frame.format.name:
        bits = 8 if bits <= 8 else 16
    standard = frame.height <= 576 and frame.width <= 1024
    matrix = frame.colorspace
    if matrix not in MATRICES:
        matrix = _BT601 if standard and not computed else _BT709
    rate = stream.average_rate or stream.guessed_rate
    count = stream.frames
    if not count and container.duration and rate:
        count = round(container.duration / 1_000_000 * rate)
    display, angle = _display(frame), frame.rotation
    return Facts(
        path=path,
        height=frame.height,
        width=frame.width,
        scale=Scale(bits, not computed and _is_full(frame, stream)),
        matrix=matrix,
        transfer=1 if frame.color_trc in _UNKNOWN else frame.color_trc,
        time_base=stream.time_base,
        rate=rate,
        aspect=stream.sample_aspect_ratio or Fraction(1),
        display=display,
        turns=round(angle / 90) % 4,
        interlaced=bool(frame.interlaced_frame),
        computed=computed,
        count=count,
    )


def _is_full(frame: Any, stream: Any) -> bool:
    if frame.color_range in (_LIMITED, _FULL):
        return bool(frame.color_range == _FULL)
    if frame.format.name.startswith("yuvj"):
        return True
    gray = frame.format.name.startswith(("gray", "ya"))
    return gray and stream.codec_context.name not in _LIMITED_GRAY


def _display(frame: Any) -> tuple[int, ...] | None:
    for data in frame.side_data:
        if getattr(data.type, "name", "") == "DISPLAYMATRIX":
            return struct.unpack("=9i", bytes(data)[:36])
    return None
