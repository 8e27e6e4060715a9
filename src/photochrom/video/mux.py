"""The finished file: the colored frames, and copies of everything else in the film."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from typing import Any

from photochrom.errors import FilmError
from photochrom.video.encode import CODECS, Piece, Quality, context_of
from photochrom.video.libraries import av
from photochrom.video.parts import Work
from photochrom.video.source import Facts, Film

__all__ = ["SYNTHETIC", "check_target", "join", "times"]

SYNTHETIC = "Colors are synthetic: a black-and-white film colored by photochrom (model {model})"
"""Goes into the comment of the result."""

_FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
_NOT_CARRIED = {"encoder", "major_brand", "minor_version", "compatible_brands"}
"""Metadata that describe the old file, not the film."""


def check_target(film: Film, target: str, quality: Quality) -> list[str]:
    """Refuse at the start what could not be written at the end.

    Returns
    -------
    One sentence for each thing that the result will not have.

    Raises
    ------
    FilmError
        The file cannot hold the codec, or one of the film's sounds or subtitles.
    """
    suffix = os.path.splitext(target)[1].lower()
    codec = CODECS[quality.codec]
    if suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise FilmError(f"{target}: this kind of film cannot be written", f"use one of {known}")
    if suffix not in codec.containers:
        raise FilmError(
            f"{target}: {suffix} cannot hold {quality.codec}",
            f"use {' or '.join(codec.containers)}, or another --codec",
        )
    notes: list[str] = []
    with film.open() as container:
        out = av.open(io.BytesIO(), "w", format=_FORMATS[suffix])
        try:
            _prepare(film, container, out, (target, quality, ""), notes)
            out.start_encoding()
        except av.error.FFmpegError as error:
            raise FilmError(f"{target}: cannot be written: {error.strerror}") from None
    return notes


def join(film: Film, target: str, draft: str, quality: Quality, work: Work, model: str) -> None:
    """Write the result: the parts one after the other, and what is copied between them by time.

    Parameters
    ----------
    film : the source
    target, draft : the name of the result, and the file to write
    quality : of the parts
    work : which has the parts
    model : its name, for the metadata
    """
    suffix = os.path.splitext(target)[1].lower()
    options = {"movflags": "+faststart"} if suffix in (".mp4", ".m4v", ".mov") else {}
    with film.open() as container:
        format = _FORMATS[suffix]
        with av.open(draft, "w", format=format, container_options=options) as out:
            stream, copies = _prepare(film, container, out, (target, quality, model), [])
            pictures = _packets(work, stream, film.facts)
            with closing(pictures):
                following = next(pictures, None)
                # Without streams, demux would give all.
                for packet in container.demux(list(copies)) if copies else ():
                    if packet.dts is None or packet.size == 0:
                        continue
                    now = packet.dts * packet.time_base
                    while following is not None and following.dts * film.facts.time_base <= now:
                        out.mux_one(following)
                        following = next(pictures, None)
                    packet.stream = copies[packet.stream]
                    out.mux_one(packet)
                while following is not None:
                    out.mux_one(following)
                    following = next(pictures, None)


def _prepare(
    film: Film, container: Any, out: Any, what: tuple[str, Quality, str], notes: list[str]
) -> tuple[Any, dict[Any, Any]]:
    """The streams of the result: the colored one, and the copies by the source's streams."""
    target, quality, model = what
    chosen = film.stream(container)
    copies: dict[Any, Any] = {}
    colored: Any = None
    for stream in container.streams:
        if stream.index == chosen.index:
            colored = _colored_stream(film.facts, quality, out)
            new = colored
        elif stream.type == "attachment":
            try:
                out.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            except ValueError:
                notes.append(f"left out the attachment {stream.name}; .mkv could hold it")
            continue
        elif stream.type not in ("audio", "subtitle", "video"):
            notes.append(f"left out stream {stream.index} ({stream.type})")
            continue
        else:
            new = copies[stream] = _copied_stream(stream, out, film.path, target)
        new.metadata.update({k: v for k, v in stream.metadata.items() if k.lower() != "encoder"})
        new.disposition = stream.disposition
    told = {k: v for k, v in container.metadata.items() if k.lower() not in _NOT_CARRIED}
    said = next((told.pop(key) for key in list(told) if key.lower() == "comment"), "")
    out.metadata.update(told)
    statement = SYNTHETIC.format(model=model)
    out.metadata["comment"] = f"{said}\n{statement}" if said else statement
    out.set_chapters(container.chapters())
    return colored, copies


def _colored_stream(facts: Facts, quality: Quality, out: Any) -> Any:
    codec = CODECS[quality.codec]
    stream = out.add_stream(codec.encoder, rate=facts.rate)
    context_of(facts, quality, stream.codec_context)
    stream.time_base = facts.time_base
    if codec.tag and out.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = codec.tag
    if facts.display is not None:
        stream.set_display_matrix(list(facts.display))
    return stream


def _copied_stream(stream: Any, out: Any, source: str, target: str) -> Any:
    name = stream.codec_context.name if stream.codec_context else "unknown"
    try:
        return out.add_stream_from_template(stream, opaque=True)
    except ValueError:
        raise FilmError(
            f"{source}: its stream {stream.index} ({stream.type}, {name}) does not fit into "
            f"{os.path.splitext(target)[1]}",
            "give the result a name that ends in .mkv",
        ) from None


def times(pts: list[int]) -> list[int]:
    """When packets are decoded, of when they are shown, both in the order in which they are coded.

    The n-th to be decoded gets the time of the n-th to be shown, less the fewest steps by which
    nothing is shown before it is decoded. So times rise across the joints of the parts, whatever
    each encoder had chosen.
    """
    shown = sorted(pts)
    delay = 0
    for place, time in enumerate(pts):
        while delay <= place and shown[place - delay] > time:
            delay += 1
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    return [shown[0] - step * (delay - n) for n in range(delay)] + shown[: len(shown) - delay]


def _packets(work: Work, stream: Any, facts: Facts) -> Generator[Any, None, None]:
    decoded = times([piece.pts for piece in work.pieces(headers=True)])
    for piece, dts in zip(work.pieces(), decoded, strict=True):
        yield _packet(piece, dts, stream, facts.time_base)


def _packet(piece: Piece, dts: int, stream: Any, time_base: Fraction) -> Any:
    packet: Any = av.Packet(piece.data)
    packet.stream = stream
    packet.time_base = time_base
    packet.pts, packet.dts, packet.duration = piece.pts, dts, piece.duration
    packet.is_keyframe = piece.key
    return packet
