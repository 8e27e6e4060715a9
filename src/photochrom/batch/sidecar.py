"""Settings for one photo in a file beside it: `a.jpg.photochrom.json` for `a.jpg`.

The studio writes such a file, and a run for many photos follows it::

    {
      "photochrom": "sidecar",
      "version": 1,
      "hints": [{"x": 310, "y": 220, "color": "#3a5fcd"}],
      "settings": {"temperature": 0.3, "saturation": 0.9}
    }

All entries but the first are optional. A color is also [58, 95, 205] or a name such as "navy".
"""

from __future__ import annotations

import difflib
import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple, TypeVar

from photochrom.batch.history import opened
from photochrom.batch.job import Settings, plain_hints
from photochrom.color.bins import TEMPERATURE
from photochrom.distribution import CANDIDATES
from photochrom.errors import ConfigError, HintError, PhotoError
from photochrom.files import not_written, whole
from photochrom.hints import Hint, HintLike
from photochrom.look import Look

__all__ = [
    "SIDECAR",
    "Sidecar",
    "Sidecars",
    "plain_hint",
    "read_sidecar",
    "with_sidecar",
    "write_sidecar",
]

T = TypeVar("T")

SIDECAR = ".photochrom.json"
VERSION = 1
MOST = 1 << 20
"""Bytes of a sidecar."""
_OF_STUDIO = ("temperature", "saturation", "candidate", "seed")
_SETTINGS = (*_OF_STUDIO, "keep_color")
_LOOK = {"temperature": TEMPERATURE, "saturation": 1.0, "keep_color": 0.0}
_USUAL = {"reach": 1, "strength": 1, "stroke": [], "region": []}


class Sidecar(NamedTuple):
    """What a sidecar says."""

    hints: tuple[HintLike, ...]
    settings: Mapping[str, Any]


class Sidecars:
    """Which photos have one: each folder is listed once, which is faster than to try each photo."""

    def __init__(self) -> None:
        self._found: dict[str, frozenset[str] | None] = {}

    def beside(self, source: str) -> bool:
        """Whether a photo has a sidecar, as far as its folder can be listed."""
        folder, name = os.path.split(source)
        if folder not in self._found:
            try:
                names = os.listdir(folder or ".")
            except (OSError, ValueError):
                self._found[folder] = None
            else:
                self._found[folder] = frozenset(n for n in names if n.endswith(SIDECAR))
        found = self._found[folder]
        return found is None or name + SIDECAR in found


def with_sidecar(source: str, settings: Settings) -> Settings | None:
    """The settings for a photo as its sidecar changes them; None if it has none.

    Raises
    ------
    PhotoError
        The sidecar cannot be read, or is not one.
    """
    said = read_sidecar(source)
    if said is None:
        return None
    wanted = said.settings
    return replace(
        settings,
        temperature=_number(wanted, "temperature", settings.temperature),
        saturation=_number(wanted, "saturation", settings.saturation),
        keep_color=_number(wanted, "keep_color", settings.keep_color),
        hints=said.hints or settings.hints,
        candidate=_candidate(wanted),
    )


def read_sidecar(source: str) -> Sidecar | None:
    """What the sidecar of a photo says; None if it has none. Raises PhotoError as above."""
    path = source + SIDECAR
    text = _text(path)
    return None if text is None else _in_words(path, lambda: _parsed(text))


def write_sidecar(source: str, hints: Sequence[HintLike], settings: Mapping[str, Any]) -> None:
    """Write the sidecar of a photo, or remove it if it would say nothing.

    Entries of an earlier one that are no decision of the studio, such as `keep_color`, stay.

    Raises
    ------
    PhotoError
        It cannot be written, or something else has its name.
    """
    path = source + SIDECAR
    before = read_sidecar(source)
    kept = {} if before is None else before.settings
    chosen = {name: kept[name] for name in kept if name not in _OF_STUDIO} | dict(settings)
    if not hints and not chosen:
        if before is not None:
            try:
                os.unlink(path)
            except OSError as error:
                raise not_written(path, error, PhotoError) from None
        return
    said = {"hints": [plain_hint(hint) for hint in hints], "settings": chosen}
    with whole(path, PhotoError, force=True) as draft, open(draft, "w", encoding="utf-8") as file:
        json.dump({"photochrom": "sidecar", "version": VERSION} | said, file, indent=2)
        file.write("\n")


def plain_hint(hint: HintLike) -> dict[str, Any]:
    """A hint as the file has it: without what is as usual."""
    fields = asdict(Hint.of(hint))
    plain = {name: _short(value) for name, value in fields.items()}
    return {name: value for name, value in plain.items() if value != _USUAL.get(name, ...)}


def _short(value: Any) -> Any:
    """A number without a needless .0, or a list of such."""
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _text(path: str) -> bytes | None:
    try:
        with opened(path) as file:
            return file.read(MOST + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise PhotoError(f"{path}: cannot be read: {error.strerror}", "change it") from None


def _in_words(path: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, RecursionError) as error:
        raise PhotoError(
            f"{path}: is not a sidecar: {' '.join(str(error).split())}",
            "correct it, save it again in the studio, or remove it",
        ) from None
    except (ConfigError, HintError) as error:
        raise PhotoError(f"{path}: {error.problem}", error.remedy) from None


def _parsed(text: bytes) -> Sidecar:
    """Raises ValueError, ConfigError or HintError."""
    if len(text) > MOST:
        raise ValueError("it is too large")
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("photochrom") != "sidecar":
        raise ValueError('it does not say "photochrom": "sidecar"')
    if content.get("version", VERSION) != VERSION:
        raise ValueError(f"its version is {content['version']}, and this is photochrom's {VERSION}")
    wanted, listed = content.get("settings", {}), content.get("hints", [])
    if not isinstance(wanted, dict) or not isinstance(listed, list):
        raise ValueError("its settings or hints have another form")
    for name in wanted:
        if name not in _SETTINGS:
            near = difflib.get_close_matches(name, _SETTINGS, 1, 0) or _SETTINGS
            raise ValueError(f"{name} is no setting; did you mean {near[0]}?")
    numbers = [_number(wanted, name, default) for name, default in _LOOK.items()]
    Look(*numbers)  # raises if one is out of range
    _candidate(wanted)
    try:
        hints = plain_hints([_hint(hint) for hint in listed])
    except (KeyError, TypeError):
        raise ValueError("a hint is not of the form {x, y, color}") from None
    return Sidecar(hints, wanted)


def _hint(hint: Mapping[str, Any]) -> Hint:
    more = {name: hint[name] for name in ("reach", "strength", "stroke", "region") if name in hint}
    return Hint(hint["x"], hint["y"], hint["color"], **more)


def _number(wanted: Mapping[str, Any], name: str, default: float) -> float:
    value = wanted.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    return float(value)


def _candidate(wanted: Mapping[str, Any]) -> tuple[int, int] | None:
    """(number, seed) of another coloring; None for the likeliest."""
    number, seed = wanted.get("candidate"), wanted.get("seed", 0)
    if number is None:
        return None
    whole = all(isinstance(value, int) and value >= 0 for value in (number, seed))
    if not whole or number >= CANDIDATES or seed >= 1 << 32:
        raise ValueError(f"candidate is from 0 to {CANDIDATES - 1}, and seed a whole number")
    return number, seed
