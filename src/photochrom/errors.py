"""Every error that photochrom raises on purpose.

::

    PhotochromError
    ├── PhotoError        a photograph cannot be read, used or written
    ├── HintError         a hint is outside the photo or not a color
    ├── ModelError        a model file is missing, damaged or not ours
    ├── ConfigError       a setting is unknown or out of range
    ├── DataError         a training shard or run folder cannot be used
    ├── StudyError        a study, its database or its photos cannot be used
    ├── FilmError         a film cannot be read, used or written
    └── DependencyError   an optional extra is not installed

The message is for the user: it names the file and says what to do. Code that needs its parts reads
them as attributes, and never takes the message apart.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ConfigError",
    "DataError",
    "DependencyError",
    "FilmError",
    "HintError",
    "ModelError",
    "PhotoError",
    "PhotochromError",
    "StudyError",
]


class PhotochromError(Exception):
    """Base class: catch this to catch all that photochrom raises on purpose.

    Parameters
    ----------
    problem : what is wrong, and with which file
    remedy : what the user can do about it; "" if the problem says it
    retry : whether the same call may succeed later, as after a full disk
    """

    def __init__(self, problem: str, remedy: str = "", *, retry: bool = False) -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem, self.remedy, self.retry = problem, remedy, retry

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers send their errors to the parent process.
        return _restore, (type(self), self.problem, self.remedy, self.retry), self.__dict__


def _restore(kind: type[PhotochromError], problem: str, remedy: str, retry: bool) -> Exception:
    return kind(problem, remedy, retry=retry)


class PhotoError(PhotochromError):
    """A photograph cannot be read, used or written."""

    not_written = ""
    """Why the result could not be written; "" if something else failed."""


class HintError(PhotochromError):
    """A color hint is outside the photo or not a color."""


class ModelError(PhotochromError):
    """A model file is missing, damaged or was not made by photochrom."""


class ConfigError(PhotochromError):
    """A setting is unknown or its value is out of range."""


class DataError(PhotochromError):
    """A training shard, its prior or a run folder cannot be used."""


class StudyError(PhotochromError):
    """A study, its database or its photos cannot be used."""


class FilmError(PhotochromError):
    """A film cannot be read, used or written."""


class DependencyError(PhotochromError):
    """An optional extra is needed and not installed."""
