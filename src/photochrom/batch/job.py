"""One photo's job: source, result, settings, and what is known of them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer
    from photochrom.hints import HintLike
    from photochrom.look import Look

__all__ = [
    "Attempt",
    "Certainty",
    "Chosen",
    "FileState",
    "Job",
    "Known",
    "OwnColor",
    "Past",
    "Places",
    "Settings",
    "identity",
    "plain_hints",
    "result_name",
    "settings_key",
]


OwnColor = Literal["recolor", "keep", "skip"]
"""What to do with a color photo: give it new colors, copy it, or leave it alone."""


def result_name(path: str, folder: str) -> str:
    """The name of a file in the manifest of a folder: the path from there, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, equal for two names of the same file; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Places:
    """Absolute paths, fast for many files in few folders."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def of(self, path: str) -> str:
        """The same as `os.path.abspath`."""
        folder, slash, name = path.rpartition(os.sep)
        if name in ("", ".", "..") or (os.altsep and os.altsep in name):
            return os.path.abspath(path)
        start = self._folders.get(folder + slash)
        if start is None:
            start = os.path.join(os.path.abspath(folder + slash), "")
            self._folders[folder + slash] = start
        return start + name


class FileState(NamedTuple):
    """Size, time of last change and content of a file at some moment."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> FileState:
        """Read a file. Raises OSError, also for anything but a regular file: a pipe might block."""
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a file", path)
        with open(path, "rb") as file:
            return cls(
                status.st_size, status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()
            )

    def is_untouched(self, status: os.stat_result) -> bool:
        """Whether size and time of last change are the same as then."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Known(NamedTuple):
    """What the manifest says about a result."""

    source: str  # absolute path
    source_file: FileState
    result_file: FileState
    settings: str  # Settings.key
    time: str
    own_color: str = ""  # of a color photo, what was done with it, see `OwnColor`


class Past(NamedTuple):
    """What the manifest says about a photo that was tried and has no result."""

    source: str  # absolute path
    source_file: FileState | None
    settings: str
    version: str  # of photochrom
    time: str
    error: str = ""  # "" if it did not fail: a color photo was skipped, or a file passed over
    extra: bool = False  # it failed because an extra was missing
    passed: str = ""  # the kind of a file that cannot be colored


class Certainty(NamedTuple):
    """How sure the model was of a photo's colors, over all its pages."""

    bits: float  # mean entropy, 0..8.3
    weak: float  # share of the pixels that it is unsure of
    inventions: float  # share of the pixels that are vivid, and that it expects to be gray


class Chosen(Protocol):
    """What the plan and the manifest need to know of settings."""

    @property
    def fields(self) -> dict[str, Any]:
        """The settings as the manifest stores them."""
        ...

    @property
    def key(self) -> str:
        """Equal for settings that give equal results."""
        ...


@dataclass(frozen=True)
class Settings:
    """Everything but the photo that decides the pixels of a result.

    Attributes
    ----------
    margin : whether flat margins stay gray
    candidate : (number, seed) of another coloring, see `Distribution.candidate`; None for the
        likeliest one
    """

    temperature: float
    saturation: float
    hints: tuple[HintLike, ...]
    working_size: int
    model: str
    model_sha256: str
    keep_color: float = 0.0
    quality: int | None = None
    margin: bool = True
    candidate: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        colorizer: Colorizer,
        look: Look,
        hints: Sequence[HintLike] = (),
        quality: int | None = None,
    ) -> Settings:
        """The settings of a colorizer with these for rendering.

        Raises
        ------
        ConfigError
            A value is out of range.
        """
        from photochrom.photo.output import check_quality

        check_quality(quality)
        with colorizer.model.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(
            float(look.temperature),
            float(look.saturation),
            plain_hints(hints),
            colorizer.working_size,
            colorizer.info.name,
            digest,
            float(look.keep_color),
            quality,
            colorizer.margins,
        )

    @property
    def look(self) -> Look:
        """Those for rendering."""
        from photochrom.look import Look

        return Look(self.temperature, self.saturation, self.keep_color)

    @property
    def fields(self) -> dict[str, Any]:
        """The settings as the manifest stores them."""
        return {
            "settings": {
                "temperature": self.temperature,
                "saturation": self.saturation,
                "hints": self.hints,
                "size": self.working_size,
                "keep_color": self.keep_color,
                "quality": self.quality,
                # Only where they differ: new entries would make all earlier results another's.
                **({} if self.margin else {"margin": False}),
                **({"candidate": self.candidate} if self.candidate else {}),
            },
            "model": {"name": self.model, "sha256": self.model_sha256},
        }

    @cached_property
    def key(self) -> str:
        """Equal for settings that give equal results."""
        return settings_key(self.fields)


def plain_hints(hints: Sequence[HintLike]) -> tuple[HintLike, ...]:
    """Hints as numbers alone, in the form that the manifest stores."""
    from photochrom.hints import Hint

    return tuple(Hint.of(hint).values for hint in hints)


def settings_key(fields: dict[str, Any]) -> str:
    """The `Settings.key` of a line in the manifest."""
    return json.dumps([fields["settings"], fields["model"]["sha256"]], sort_keys=True)


class Attempt(NamedTuple):
    """What came of coloring a photo, for its line in the manifest."""

    seconds: float
    source: FileState | None = None
    result: FileState | None = None
    error: str | None = None
    notes: Sequence[str] = ()  # what the result lacks of the photo
    own_color: str = ""  # see `Known`
    extra: bool = False  # the error is that an extra is missing
    passed: str = ""  # see `Past`
    size: tuple[int, int] | None = None  # (width, height) of the photo
    certainty: Certainty | None = None


class Job(NamedTuple):
    """One photo to color."""

    source: str
    target: str
    result: str  # the target as the manifest names it
    known: Known | None = None
    force: bool = False
    settings: Settings | None = None  # its own; None for those of the run
