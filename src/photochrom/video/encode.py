"""Encode frames: planes go into a codec, packets come out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from photochrom.arrays import Float32
from photochrom.errors import ConfigError
from photochrom.video.chroma import Painter
from photochrom.video.libraries import av
from photochrom.video.luma import Luma, Scale
from photochrom.video.source import Facts, Picture

__all__ = ["CODECS", "Codec", "Encoder", "Piece", "Quality", "Shape"]


@dataclass(frozen=True)
class Codec:
    """One row of the table of codecs.

    Attributes
    ----------
    encoder : its name in FFmpeg
    formats : pixel formats by their bits
    rows, columns : luma samples for one of chroma
    crf : the default; None if the codec has no such setting
    options : of the encoder
    even : whether sides have to be even
    tag : of the stream in MP4 and MOV, where the default would not play everywhere
    containers : suffixes of files that can hold it
    """

    encoder: str
    formats: dict[int, str]
    rows: int
    columns: int
    crf: int | None
    options: dict[str, str]
    even: bool
    tag: str | None
    containers: tuple[str, ...]


_QUICKTIME = (".mp4", ".m4v", ".mov")

CODECS = {
    "h264": Codec(
        "libx264", {8: "yuv420p", 10: "yuv420p10le"}, 2, 2, 18, {"preset": "veryfast"},
        True, None, (*_QUICKTIME, ".mkv"),
    ),
    "h265": Codec(
        "libx265", {8: "yuv420p", 10: "yuv420p10le", 12: "yuv420p12le"}, 2, 2, 20,
        {"preset": "medium", "x265-params": "log-level=none"}, True, "hvc1", (*_QUICKTIME, ".mkv"),
    ),
    "av1": Codec(
        "libsvtav1", {8: "yuv420p", 10: "yuv420p10le"}, 2, 2, 28, {"preset": "7"},
        True, None, (".mp4", ".mkv", ".webm"),
    ),
    "prores": Codec(
        "prores_ks", {10: "yuv422p10le"}, 1, 2, None, {"profile": "3", "vendor": "apl0"},
        True, None, (".mov", ".mkv"),
    ),
    "ffv1": Codec(
        "ffv1", {b: f"yuv420p{f'{b}le' if b > 8 else ''}" for b in (8, 9, 10, 12, 14, 16)}, 2, 2,
        None, {"level": "3", "slicecrc": "1"}, False, None, (".mkv", ".mov"),
    ),
}  # fmt: skip
"""By the names that the user gives."""


@dataclass(frozen=True)
class Quality:
    """How a film is encoded.

    Attributes
    ----------
    codec : a key of CODECS
    crf : constant rate factor, smaller is better and larger; None for the codec's default
    threads : cores; 0 for all

    Raises
    ------
    ConfigError
        There is no such codec, or it has no such setting.
    """

    codec: str = "h264"
    crf: int | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ConfigError(f"codec {self.codec!r}: must be one of {', '.join(CODECS)}")
        if self.crf is not None and self.row.crf is None:
            raise ConfigError(f"--crf has no meaning for {self.codec}", "leave it out")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise ConfigError(f"--crf {self.crf}: must be from 0 (best) to 63")

    @property
    def row(self) -> Codec:
        """Of the table."""
        return CODECS[self.codec]


@dataclass(frozen=True)
class Shape:
    """What the codec makes of a film's frames: the format, and the sides made even if need be."""

    scale: Scale
    format: str
    height: int
    width: int

    @classmethod
    def of(cls, facts: Facts, codec: Codec) -> Shape:
        """The fewest bits that lose nothing; the most there are, if none does."""
        bits = min((b for b in codec.formats if b >= facts.scale.bits), default=max(codec.formats))
        more = (facts.height % 2, facts.width % 2) if codec.even else (0, 0)
        scale = Scale(bits, facts.scale.full)
        height, width = facts.height + more[0], facts.width + more[1]
        return cls(scale, codec.formats[bits], height, width)


@dataclass(frozen=True)
class Piece:
    """A packet: when it is shown and decoded and for how long, in ticks, and its bytes."""

    pts: int
    duration: int
    key: bool
    data: bytes


class Encoder:
    """Encodes colored frames; one for each part of the film.

    Parameters
    ----------
    facts : of the film
    quality : Quality
    """

    def __init__(self, facts: Facts, quality: Quality) -> None:
        self._facts = facts
        codec = quality.row
        self.shape = Shape.of(facts, codec)
        self._paint = Painter(self.shape.scale, facts.matrix, codec.rows, codec.columns)
        self._durations: dict[int, int] = {}
        self.context = context_of(facts, quality)

    def frame(self, picture: Picture, ab: Float32) -> av.VideoFrame:
        """The frame in color: Y' as it was, Cb and Cr from ab (h, w, 2)."""
        shape, facts = self.shape, self._facts
        luma = facts.scale.moved(picture.luma, shape.scale)
        below, beside = shape.height - luma.shape[0], shape.width - luma.shape[1]
        if below or beside:
            padded: Any = np.pad(luma, ((0, below), (0, beside)), mode="edge")
            luma = padded
        frame = av.VideoFrame(shape.width, shape.height, shape.format)
        for plane, values in zip(frame.planes, (luma, *self._paint(luma, ab)), strict=True):
            _fill(plane, values)
        frame.pts, frame.time_base = picture.pts, facts.time_base
        frame.color_range = 2 if facts.scale.full else 1
        frame.colorspace, frame.color_primaries = facts.matrix, 1
        frame.color_trc = facts.transfer
        return frame

    def encode(self, picture: Picture, ab: Float32) -> Iterator[Piece]:
        """Encode a colored frame; yields the packets that are ready."""
        self._durations[picture.pts] = picture.duration
        yield from self._pieces(self.context.encode(self.frame(picture, ab)))

    def flush(self) -> Iterator[Piece]:
        """The packets that remain at the end."""
        yield from self._pieces(self.context.encode(None))

    def _pieces(self, packets: Any) -> Iterator[Piece]:
        for packet in packets:
            duration = self._durations.pop(packet.pts, 0) or packet.duration or 0
            yield Piece(packet.pts, duration, packet.is_keyframe, bytes(packet))


def context_of(facts: Facts, quality: Quality, context: Any = None) -> Any:
    """An encoder, opened; or one that the caller opens, with the settings put in."""
    codec = quality.row
    shape = Shape.of(facts, codec)
    if codec.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # otherwise, it reports to stderr
    own = context is None
    if own:
        context = av.CodecContext.create(codec.encoder, "w")
    context.width, context.height, context.pix_fmt = shape.width, shape.height, shape.format
    context.time_base = facts.time_base
    if facts.rate:
        context.framerate = facts.rate
    context.sample_aspect_ratio = facts.aspect
    context.color_range = 2 if facts.scale.full else 1
    # The colors are ours, in the primaries of sRGB, whatever the gray film was said to have.
    context.colorspace, context.color_primaries = facts.matrix, 1
    context.color_trc = facts.transfer
    options = dict(codec.options)
    if codec.crf is not None:
        options["crf"] = str(codec.crf if quality.crf is None else quality.crf)
    context.options = options
    context.thread_count = quality.threads
    context.flags |= _GLOBAL_HEADER
    if own:
        context.open()
    return context


_GLOBAL_HEADER = 1 << 22


def _fill(plane: Any, values: Luma) -> None:
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    height, width = values.shape
    rows.view(values.dtype)[:height, :width] = values
