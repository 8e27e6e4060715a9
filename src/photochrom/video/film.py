"""The main path of film: file -> pictures -> distributions, made steady -> chroma -> file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from photochrom._version import __version__
from photochrom.arrays import RGB, Float32
from photochrom.colorizer import Colorizer
from photochrom.errors import ConfigError, FilmError
from photochrom.files import draft_name, publish, sweep_drafts, to_disk
from photochrom.look import Look, check_settings
from photochrom.video.encode import Encoder, Quality
from photochrom.video.eye import Eye
from photochrom.video.libraries import av
from photochrom.video.luma import Luma
from photochrom.video.mux import check_target, join
from photochrom.video.parts import Work
from photochrom.video.source import Film, Picture
from photochrom.video.stretch import Pace, Stretch, stretches

__all__ = ["ColoredFrame", "Report", "Settings", "color_film", "frames"]


@dataclass(frozen=True)
class Settings:
    """What the user may choose for a film.

    Attributes
    ----------
    quality : codec and crf
    pace : how often the network looks, how steady its answers are made
    look : temperature and saturation
    deinterlace : whether to make whole pictures of interlaced ones

    Raises
    ------
    ConfigError
        One is out of range.
    """

    quality: Quality = field(default_factory=Quality)
    pace: Pace = field(default_factory=Pace)
    look: Look = field(default_factory=Look)
    deinterlace: bool = False

    def __post_init__(self) -> None:
        check_settings(self.look.temperature, self.look.saturation)
        if self.pace.every is not None and self.pace.every < 1:
            raise ConfigError(f"--every {self.pace.every}: must be auto, or 1 or more")
        if self.pace.passes not in (0, 1, 2):
            raise ConfigError(f"--passes {self.pace.passes}: must be 0, 1 or 2")


@dataclass(frozen=True)
class Report:
    """What became of a film: pictures, shots, damaged places, and what to tell the user."""

    pictures: int
    shots: int
    damaged: int
    notes: list[str]


@dataclass(frozen=True, eq=False)
class ColoredFrame:
    """A picture in color.

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
    """Color a film. If it was interrupted before, what is done is not done again.

    Parameters
    ----------
    source, target : paths
    colorizer : Colorizer
    settings : None for the defaults
    force : replace the target if it exists
    progress : called with the pictures that are done, and those that there are (0: unknown)

    Raises
    ------
    FilmError
        The film cannot be read, or the result not be written.
    """
    settings = settings or Settings()
    source, target = os.fspath(source), os.fspath(target)
    _check_paths(source, target, force)
    film = Film(source, settings.deinterlace, colorizer.threads)
    notes = _notes(film, settings) + check_target(film, target, settings.quality)
    with Work(target, _key(film, colorizer, settings)) as work:
        _color_parts(film, colorizer, settings, work, progress or (lambda done, total: None))
        if not work.done:
            raise FilmError(f"{source}: no picture in it can be decoded; is it damaged?")
        sweep_drafts(os.path.dirname(target) or ".")
        draft = draft_name(os.path.dirname(target) or ".", os.path.splitext(target)[1])
        try:
            join(film, target, draft, settings.quality, work, colorizer.info.name)
            with to_disk(draft):
                pass
            publish(draft, target, force)
        except FileExistsError:
            raise FilmError(f"{target}: exists; use --force to replace it") from None
        except OSError as error:
            raise FilmError(f"{target}: cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        work.remove()
        return Report(work.done, work.shots, film.damaged, notes)


def _color_parts(
    film: Film,
    colorizer: Colorizer,
    settings: Settings,
    work: Work,
    progress: Callable[[int, int], None],
) -> None:
    eye = Eye(colorizer, film.facts)
    ahead = Film(film.path, settings.deinterlace, colorizer.threads)
    # Two readers: one ahead, looking; one behind, with the pictures that are colored.
    looking = (picture.luma for picture in islice(ahead.pictures(), work.done, None))
    coloring = islice(film.pictures(), work.done, None)
    progress(work.done, film.facts.count)
    found = stretches(looking, eye, settings.pace, work.done, work.carried)
    with closing(found):
        for stretch in found:
            stretch.look = settings.look
            part = work.begin()
            try:
                encoder = Encoder(film.facts, settings.quality)
                for picture, ab in _colored(stretch, coloring, eye):
                    for piece in encoder.encode(picture, ab):
                        part.write(piece)
                    work.done += 1
                    progress(work.done, film.facts.count)
                for piece in encoder.flush():
                    part.write(piece)
                work.end(part, stretch)
            except OSError as error:
                raise FilmError(
                    f"{work.folder}: cannot be written: {error.strerror}",
                    "the same command goes on from here",
                ) from None
            finally:
                part.drop()
            work.shots += stretch.begins


def frames(
    source: str | os.PathLike[str], colorizer: Colorizer, settings: Settings | None = None
) -> Iterator[ColoredFrame]:
    """The pictures of a film in color, one after the other, steady in time.

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
    eye = Eye(colorizer, film.facts)
    ahead = Film(source, settings.deinterlace, colorizer.threads)
    encoder = Encoder(film.facts, settings.quality)
    coloring = film.pictures()
    shot = -1
    height, width, tick = film.facts.height, film.facts.width, film.facts.time_base
    found = stretches((p.luma for p in ahead.pictures()), eye, settings.pace)
    with closing(found):
        for stretch in found:
            stretch.look = settings.look
            shot += stretch.begins
            for picture, ab in _colored(stretch, coloring, eye):
                rgb = _as_rgb(encoder.frame(picture, ab))
                yield ColoredFrame(rgb[:height, :width], float(picture.pts * tick), shot)


def _colored(
    stretch: Stretch, coloring: Iterator[Picture], eye: Eye
) -> Iterator[tuple[Picture, Float32]]:
    """The pictures of a stretch, the next to come, each with its ab (h, w, 2)."""
    noted: list[Picture] = []

    def lumas() -> Iterator[Luma]:
        for picture in islice(coloring, stretch.count):
            noted.append(picture)
            yield picture.luma

    for ab in stretch.colors(lumas(), eye):
        yield noted.pop(), ab


def _as_rgb(frame: av.VideoFrame) -> RGB:
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
        raise FilmError(f"{target}: is a folder; give the result a name")
    if os.path.exists(target):
        if os.path.exists(source) and os.path.samefile(source, target):
            raise FilmError(f"{source}: would be replaced by its own result; choose another name")
        if not force:
            raise FilmError(f"{target}: exists; use --force to replace it")
    folder = os.path.dirname(target) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FilmError(f"{folder}: cannot be made: {error.strerror}") from None


def _notes(film: Film, settings: Settings) -> list[str]:
    facts, notes = film.facts, []
    codec = settings.quality.row
    if codec.even and (facts.height % 2 or facts.width % 2):
        notes.append(
            f"{facts.width} x {facts.height} is odd, and {settings.quality.codec} is even: the "
            "last row or column is doubled; ffv1 keeps the size"
        )
    if facts.scale.bits > max(codec.formats):
        notes.append(
            f"{facts.scale.bits} bits become {max(codec.formats)} with {settings.quality.codec}; "
            "ffv1 keeps them"
        )
    if facts.interlaced and not settings.deinterlace:
        notes.append("the film is interlaced; --deinterlace makes whole pictures of it")
    if facts.computed:
        notes.append("the film is RGB: its luma was computed (BT.709, limited range)")
    return notes


def _key(film: Film, colorizer: Colorizer, settings: Settings) -> dict[str, Any]:
    """All that the parts depend on."""
    info = os.stat(film.path)
    return {
        "photochrom": __version__,
        "av": av.__version__,
        "source": [os.path.abspath(film.path), info.st_size, info.st_mtime_ns],
        "model": [colorizer.model.sha256, colorizer.working_size],
        "settings": asdict(settings),
    }
