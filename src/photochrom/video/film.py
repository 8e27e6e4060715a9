"""The main path of film: file -> frames -> distributions, made steady -> chroma -> file."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from threading import Event
from typing import Any

import numpy as np

from photochrom._version import __version__
from photochrom.arrays import RGB, Float32
from photochrom.colorizer import Colorizer
from photochrom.errors import ConfigError, FilmError
from photochrom.files import whole
from photochrom.look import Look
from photochrom.video.ahead import ahead, while_wanted
from photochrom.video.encode import Encoder, Quality
from photochrom.video.eye import Eye
from photochrom.video.libraries import av
from photochrom.video.luma import Luma
from photochrom.video.mux import check_target, join
from photochrom.video.parts import Work
from photochrom.video.source import Film, Picture
from photochrom.video.stills import Stills, spread
from photochrom.video.stretch import Carried, Pace, Stretch, stretches

__all__ = ["ColoredFrame", "Report", "Settings", "as_rgb", "color_film", "frames"]


WAITING = 6
"""Colored frames that may wait for the encoder."""


@dataclass(frozen=True)
class Settings:
    """What the user may choose for a film.

    Attributes
    ----------
    quality : codec and crf
    pace : how often the network runs, and how steady its results are made
    look : temperature and saturation
    deinterlace : whether to turn interlaced frames into full ones
    stills : folder of colored stills, whose colors are spread over their shots; None for none

    Raises
    ------
    ConfigError
        One is out of range.
    """

    quality: Quality = field(default_factory=Quality)
    pace: Pace = field(default_factory=Pace)
    look: Look = field(default_factory=Look)
    deinterlace: bool = False
    stills: str | None = None

    def __post_init__(self) -> None:
        if self.pace.every is not None and self.pace.every < 1:
            raise ConfigError(f"--every {self.pace.every}: must be auto, or 1 or more")
        if self.pace.passes not in (0, 1, 2):
            raise ConfigError(f"--passes {self.pace.passes}: must be 0, 1 or 2")


@dataclass(frozen=True)
class Report:
    """The result of coloring a film: frames, shots, damaged places, and notes for the user."""

    pictures: int
    shots: int
    damaged: int
    notes: list[str]


@dataclass(frozen=True, eq=False)
class ColoredFrame:
    """A frame in color.

    Attributes
    ----------
    rgb : uint8 (H, W, 3), sRGB
    time : seconds
    shot : number of its shot, from 0
    """

    rgb: RGB
    time: float
    shot: int


def color_film(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    colorizer: Colorizer,
    settings: Settings | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Color a film. After an interruption, finished parts are not colored again.

    Parameters
    ----------
    source, target : paths
    colorizer : Colorizer
    settings : None for the defaults
    force : replace the target if it exists
    progress : called with the number of frames that are done, and of all frames (0: unknown)

    Raises
    ------
    FilmError
        The film cannot be read, or the result cannot be written.
    """
    settings = settings or Settings()
    source, target = os.fspath(source), os.fspath(target)
    _check_paths(source, target, force)
    film = Film(source, settings.deinterlace, colorizer.threads)
    way = _Way(film, colorizer, settings)
    notes = _notes(film, settings) + check_target(film, target, settings.quality)
    with Work(target, _key(film, colorizer, way)) as work:
        _color_parts(way, work, progress or (lambda done, total: None))
        if not work.done:
            raise FilmError(
                f"{source}: none of its frames can be decoded",
                "it may be damaged; restore it from a copy",
            )
        with whole(target, FilmError, force=force) as draft:
            join(film, target, draft, settings.quality, work, colorizer.info.name)
        work.remove()
        return Report(work.done, work.shots, film.damaged, notes)


class _Way:
    """A film being colored, with two readers of its file.

    One runs ahead for the network; the other follows with the frames to be colored.
    """

    def __init__(self, film: Film, colorizer: Colorizer, settings: Settings) -> None:
        self.film, self.settings = film, settings
        self.eye = Eye(colorizer, film.facts)
        self.stills = Stills(settings.stills, colorizer) if settings.stills else None
        self._ahead = Film(film.path, settings.deinterlace, colorizer.threads)

    def stretches(
        self, first: int = 0, before: Carried | None = None, mixed: int = 0
    ) -> Generator[tuple[Stretch, Iterator[tuple[Picture, Float32]]], None, None]:
        """Stretch after stretch, each with its frames and their ab (h, w, 2).

        While one stretch is colored, the network already runs on the next.
        """
        stop = Event()
        lumas = (picture.luma for picture in islice(self._ahead.pictures(), first, None))
        looked = stretches(while_wanted(lumas, stop), self.eye, self._pace(), first, before, mixed)
        coloring = islice(self.film.pictures(), first, None)
        with closing(ahead(self._finished(looked), 1, stop)) as found:
            for stretch in found:
                with closing(stretch):
                    colored = ahead(_colored(stretch, coloring, self.eye), WAITING)
                    with closing(colored):
                        yield stretch, colored

    def _pace(self) -> Pace:
        pace = self.settings.pace
        return pace if self.stills is None else replace(pace, always=self.stills.numbers)

    def _finished(self, found: Generator[Stretch, None, None]) -> Iterator[Stretch]:
        with closing(found):
            for stretch in found:
                stretch.look = self.settings.look
                try:
                    if self.stills is not None:
                        spread(stretch, self.stills, self.eye)
                except BaseException:
                    stretch.close()
                    raise
                yield stretch


def _color_parts(way: _Way, work: Work, progress: Callable[[int, int], None]) -> None:
    film = way.film
    progress(work.done, film.facts.count)
    with closing(way.stretches(work.done, work.carried, work.mixed)) as found:
        for stretch, colored in found:
            try:
                with work.part(stretch) as part:
                    encoder = Encoder(film.facts, way.settings.quality)
                    for picture, ab in colored:
                        for piece in encoder.encode(picture, ab):
                            part.write(piece)
                        work.done += 1
                        progress(work.done, film.facts.count)
                    for piece in encoder.flush():
                        part.write(piece)
            except OSError as error:
                raise FilmError(
                    f"{work.folder}: cannot be written: {error.strerror}",
                    "make room, and run the same command again to resume",
                ) from None
            work.shots += stretch.begins


def frames(
    source: str | os.PathLike[str], colorizer: Colorizer, settings: Settings | None = None
) -> Iterator[ColoredFrame]:
    """The frames of a film in color, one after the other, steady in time.

    Parameters
    ----------
    source : path
    colorizer : Colorizer
    settings : None for the defaults; of `quality`, the chroma of its codec

    Examples
    --------
    >>> for frame in frames("old.mp4", Colorizer()):  # doctest: +SKIP
    ...     show(frame.rgb)
    """
    settings = settings or Settings()
    film = Film(source, settings.deinterlace, colorizer.threads)
    encoder = Encoder(film.facts, settings.quality)
    shot = -1
    height, width, tick = film.facts.height, film.facts.width, film.facts.time_base
    with closing(_Way(film, colorizer, settings).stretches()) as found:
        for stretch, colored in found:
            shot += stretch.begins
            for picture, ab in colored:
                rgb = as_rgb(encoder.frame(picture, ab))
                yield ColoredFrame(rgb[:height, :width], float(picture.pts * tick), shot)


def _colored(
    stretch: Stretch, coloring: Iterator[Picture], eye: Eye
) -> Iterator[tuple[Picture, Float32]]:
    """The frames of the next stretch, each with its ab (h, w, 2)."""
    noted: list[Picture] = []

    def lumas() -> Iterator[Luma]:
        for picture in islice(coloring, stretch.count):
            noted.append(picture)
            yield picture.luma

    for ab in stretch.colors(lumas(), eye):
        yield noted.pop(), ab


def as_rgb(frame: av.VideoFrame) -> RGB:
    """A frame as uint8 (H, W, 3), sRGB, by the matrix and range that it states."""
    matrix = "ITU709" if frame.colorspace == 1 else "ITU601"
    if frame.colorspace == 9:
        matrix = "BT2020"
    full = "JPEG" if frame.color_range == 2 else "MPEG"
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        src_color_range=full,
        dst_color_range="JPEG",
        interpolation="BICUBIC",
    ).to_ndarray()
    return np.asarray(rgb, np.uint8)


def _check_paths(source: str, target: str, force: bool) -> None:
    if os.path.isdir(target):
        raise FilmError(f"{target}: is a folder", "give the result a name")
    if os.path.exists(target):
        if os.path.exists(source) and os.path.samefile(source, target):
            raise FilmError(f"{source}: would be replaced by its own result", "choose another name")
        if not force:
            raise FilmError(f"{target}: already exists", "use --force to replace it")
    folder = os.path.dirname(target) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FilmError(f"{folder}: cannot be created: {error.strerror}") from None


def _notes(film: Film, settings: Settings) -> list[str]:
    facts, notes = film.facts, []
    codec = settings.quality.row
    if codec.even and (facts.height % 2 or facts.width % 2):
        notes.append(
            f"{facts.width} x {facts.height} is odd, but {settings.quality.codec} needs even "
            "sides: the last row or column is repeated; ffv1 keeps the size"
        )
    if facts.scale.bits > max(codec.formats):
        notes.append(
            f"{facts.scale.bits} bits become {max(codec.formats)} with {settings.quality.codec}; "
            "ffv1 keeps them"
        )
    if facts.interlaced and not settings.deinterlace:
        notes.append("the film is interlaced; --deinterlace turns it into full frames")
    if facts.computed:
        notes.append("the film is RGB: its luma was computed (BT.709, limited range)")
    return notes


def _key(film: Film, colorizer: Colorizer, way: _Way) -> dict[str, Any]:
    """Everything that the parts depend on."""
    info = os.stat(film.path)
    return {
        "photochrom": __version__,
        "av": av.__version__,
        "source": [os.path.abspath(film.path), info.st_size, info.st_mtime_ns],
        "model": [colorizer.model.sha256, colorizer.working_size],
        "settings": repr(asdict(way.settings)),
        "stills": way.stills.key() if way.stills is not None else [],
    }
