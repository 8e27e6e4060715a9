"""Every error that photochrom raises on purpose.

::

    PhotochromError
    ├── PhotoError        a photo cannot be read, used or written
    ├── HintError         a hint is outside the photo or not a color
    ├── ModelError        a model file is missing, damaged or not a photochrom model
    ├── ConfigError       a setting is unknown or out of range
    ├── DataError         a training shard or run folder cannot be used
    ├── StudyError        a study, its database or its photos cannot be used
    ├── FilmError         a film cannot be read, used or written
    └── DependencyError   an optional extra is not installed

The message is for the user: it names the file and says what to do. Code that needs the parts of the
message reads them as attributes and never parses the message.
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
    """Base class: catch this to catch every error that photochrom raises on purpose.

    Parameters
    ----------
    problem : what is wrong
    remedy : what the user can do about it; "" if the problem says it
    retry : whether the same call may succeed later, as after a full disk
    name : the file or other thing that has the problem; "" if `problem` names it

    Attributes
    ----------
    problem : what is wrong, and with what
    reason : the same without the name
    remedy, retry, name : as given
    """

    not_written = ""
    """Why a file could not be written; "" if something else failed."""

    def __init__(
        self, problem: str, remedy: str = "", *, retry: bool = False, name: str = ""
    ) -> None:
        self.reason, self.remedy, self.retry, self.name = problem, remedy, retry, name
        self.problem = f"{name}: {problem}" if name else problem
        super().__init__(f"{self.problem}; {remedy}" if remedy else self.problem)

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers send their errors to the parent process.
        return _restore, (type(self), self.reason, self.remedy, self.name), self.__dict__


def _restore(kind: type[PhotochromError], reason: str, remedy: str, name: str) -> Exception:
    return kind(reason, remedy, name=name)


class PhotoError(PhotochromError):
    """A photo cannot be read, used or written."""


class HintError(PhotochromError):
    """A hint is outside the photo or not a color."""


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
    """An optional extra is needed but not installed."""
