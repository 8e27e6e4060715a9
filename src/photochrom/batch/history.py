"""What earlier runs have done: their manifests, read line by line.

A result lies in a folder. The manifests in that folder and in those above it say whose result it
is, whoever wrote them: a run for a whole folder, for some photos, or for one. So photos that are
named one by one and photos of a folder follow the same rule.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from photochrom.batch.job import FileState, Known, Past, settings_key
from photochrom.errors import PhotoError

__all__ = [
    "MANIFEST",
    "History",
    "home_of",
    "lines_of",
    "manifest_parts",
    "opened",
    "places_of",
    "read_history",
    "read_manifests",
]

MANIFEST = "photochrom.jsonl"
MOST_LINE = 1 << 20
"""Bytes of a line."""
_STEM, _EXTENSION = os.path.splitext(MANIFEST)
_PART = re.compile(rf"{_STEM}(-\d+-of-\d+)?\{_EXTENSION}")
# A line begins like this. Inside a JSON string, these quotes would have backslashes.
_BEGINS, _RESULT, _ERROR = b'{"source": ', b'", "result": "', b'", "error": '
_SETTINGS, _VERSION = b', "settings": ', b', "version": '


@dataclass
class History:
    """What the manifests say about some results, by the absolute path of each."""

    known: dict[str, Known] = field(default_factory=dict)
    """Those that were made."""
    past: dict[str, Past] = field(default_factory=dict)
    """Those that were not, where nothing was made later."""
    written_in: dict[str, str] = field(default_factory=dict)
    """The folder of the manifest that knows it."""


class _Said(NamedTuple):
    """What one manifest says about a result."""

    known: Known | None
    past: Past | None


def manifest_parts(folder: str) -> list[str]:
    """The manifests in a folder, one for each shard; ordinary files only."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    paths = [os.path.join(folder, name) for name in names if _PART.fullmatch(name)]
    return [path for path in paths if os.path.isfile(path)]  # a pipe would never end


def home_of(folder: str) -> str:
    """The nearest folder with a manifest, from this one upwards; itself if there is none."""
    here = os.path.abspath(folder)
    return next((above for above in _upwards(here) if manifest_parts(above)), here)


def _upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, up to the root of its disk."""
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder or os.path.ismount(folder):
            return
        folder = above


def read_history(results: Iterable[str]) -> History:
    """What the manifests beside some results, and above them, say about these.

    Only what concerns these results is kept in memory.

    Parameters
    ----------
    results : absolute paths; also of files that may be results

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    inside: dict[str, list[str]] = {}  # results by their folder
    for path in results:
        inside.setdefault(os.path.dirname(path), []).append(path)
    below: dict[str, list[str]] = {}  # folders by those above them
    for folder in inside:
        for above in _upwards(folder):
            below.setdefault(above, []).append(folder)
    history = History()
    for above, folders in below.items():
        if parts := manifest_parts(above):
            start = len(os.path.join(above, ""))
            names = {_name(path[start:]): path for f in folders for path in inside[f]}
            for part in parts:
                for path, said in _read(part, names.get).items():
                    _add(history, path, said, above)
    return history


def _name(path: str) -> bytes:
    """A path below a manifest as its lines have it."""
    return json.dumps(path if os.sep == "/" else path.replace(os.sep, "/")).encode()


def _add(history: History, path: str, said: _Said, folder: str) -> None:
    # The order of lines counts within a manifest. Between two of them, there is only the time.
    before = history.known.get(path)
    if said.known is not None and (before is None or before.time <= said.known.time):
        history.known[path] = said.known
        history.written_in[path] = folder
    past = history.past.get(path)
    if said.past is not None and (past is None or past.time <= said.past.time):
        history.past[path] = said.past
    known, past = history.known.get(path), history.past.get(path)
    if known is not None and past is not None and past.time < known.time:
        del history.past[path]


def read_manifests(folder: str | os.PathLike[str]) -> dict[str, Known]:
    """What the manifests in an output folder say about each result, see `result_name`.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    history = History()
    for part in manifest_parts(os.fspath(folder)):
        for name, said in _read(part, json.loads).items():
            _add(history, name, said, os.fspath(folder))
    return history.known


def _read(path: str, wanted: Callable[[bytes], str | None]) -> dict[str, _Said]:
    """What a manifest says about results; `wanted` gives the key of a name in JSON, or None."""
    found: dict[str, _Said] = {}
    keys: dict[bytes, str] = {}  # many lines, few settings
    for line in lines_of(path):
        start, end = line.find(_RESULT), line.find(_ERROR)
        if start < 0 or end < start:
            continue
        try:
            key = wanted(line[start + len(_RESULT) - 1 : end + 1])
            if key is not None:
                _take(line, key, found, keys)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # a damaged line says nothing
    return found


def _take(line: bytes, key: str, found: dict[str, _Said], keys: dict[bytes, str]) -> None:
    """Add what a line says."""
    fields = json.loads(line)
    source_file, result_file = (
        fields[name] and FileState(**fields[name]) for name in ("source_file", "result_file")
    )
    time, source, error = fields["time"], fields["source"], fields.get("error")
    if not isinstance(time, str) or not isinstance(source, str):
        return
    settings = _settings(line, fields, keys)
    known, past = found.get(key, _Said(None, None))
    if not error and source_file and result_file:
        own_color = fields.get("own_color", "")
        new = Known(source, source_file, result_file, settings, time, own_color)
        found[key] = _Said(new, None)
    elif result_file:
        if known is not None and known.result_file == result_file:
            # The line was there already when the result did not get its name.
            found[key] = _Said(None, past)
    elif source_file or fields.get("passed"):
        version, extra = fields["version"], bool(fields.get("extra"))
        passed = fields.get("passed", "")
        new_past = Past(source, source_file, settings, version, time, error or "", extra, passed)
        found[key] = _Said(known, new_past)


def _settings(line: bytes, fields: Mapping[str, Any], keys: dict[bytes, str]) -> str:
    start, end = line.rfind(_SETTINGS), line.rfind(_VERSION)
    part = line[start:end] if 0 <= start < end else b""
    if part not in keys:
        key = sys.intern(settings_key(dict(fields)))
        if not part:
            return key
        keys[part] = key
    return keys[part]


def lines_of(path: str) -> Iterator[bytes]:
    """The lines of a manifest that may be whole, see `places_of`."""
    for _, line in places_of(path):
        yield line


def places_of(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a manifest that may be whole, each with its place in the file.

    Raises
    ------
    PhotoError
        The file cannot be read.
    """
    try:
        with opened(path) as file:
            for line in _lines(file):
                # A full disk can leave part of a line in front of this one.
                line = line[max(0, line.rfind(_BEGINS)) :]
                yield file.tell() - len(line), line
    except OSError as error:
        raise PhotoError(
            f"{path}: cannot be read: {error.strerror}", "change its permissions"
        ) from error


def opened(path: str) -> BinaryIO:
    """An ordinary file, open for reading; OSError for anything else, such as a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a file", path)
    return file


def _lines(file: BinaryIO, most: int = MOST_LINE) -> Iterator[bytes]:
    """The lines of a file; of those that are too long for a manifest, only the end."""
    while line := file.readline(most):
        while not line.endswith(b"\n") and (more := file.readline(most)):
            line = line[-most:] + more if len(line) < most else more
        yield line
