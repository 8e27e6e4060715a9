"""Pairs of pictures: a real one and its recolored version."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photochrom.errors import ConfigError, StudyError

__all__ = ["OBVIOUS", "Pairs", "REAL", "find_pairs"]

REAL = "real"
"""Name of the real photos in the table of methods; no method may have it."""
OBVIOUS = "obvious"
"""Name of the method of practice and catch trials in exports."""


@dataclass(frozen=True)
class Pairs:
    """The photos that a study can use: those with an original and a version of every method."""

    methods: tuple[str, ...]
    files: dict[str, tuple[Path, ...]]  # photo -> its real file, then one of each method
    unpaired: dict[str, tuple[str, ...]]  # folder's name -> photos that another one lacks


def find_pairs(real: Path, fakes: Sequence[tuple[str, Path]]) -> Pairs:
    """Pair photos by their path below their folder, without extension.

    ``NAME.color.EXT``, as `photochrom colorize` calls a result beside its photo, stands for NAME
    in a folder of fakes, and is no real photo. Only photos that every method has recolored are
    used, for rates of different photos could not be compared.

    Parameters
    ----------
    real : folder of the originals; subfolders are searched too
    fakes : (name of the method, folder of its results)

    Raises
    ------
    ConfigError
        A name is missing, taken or given twice, or a folder does not exist.
    StudyError
        Two files of a folder stand for one photo, a fake is the real file itself, or nothing pairs.
    """
    names = [name for name, _ in fakes]
    if not names:
        raise ConfigError("--fake: no folder of recolored photos", "give at least one, as NAME=DIR")
    for name in names:
        if not name.strip() or not name.isprintable() or name in (REAL, OBVIOUS):
            raise ConfigError(
                f"--fake {name}=...: cannot name a method",
                "give it another name, such as ours=DIR",
            )
        if names.count(name) > 1:
            raise ConfigError(f"--fake {name}=...: appears twice", "give each method its own name")
    found = [_photos(real, fake=False), *(_photos(folder, fake=True) for _, folder in fakes)]
    everywhere = sorted(set.intersection(*(set(photos) for photos in found)))
    files = {name: tuple(photos[name] for photos in found) for name in everywhere}
    for original, *others in files.values():
        for path in others:
            if path.samefile(original):
                raise StudyError(f"{path}: is the original itself", "give the recolored version")
    if not files:
        folders = ", ".join(str(folder) for _, folder in fakes)
        raise StudyError(
            f"{real}: none of its {len(found[0])} photos has a match in {folders}",
            "a photo and its recolored version need the same path below their folders, apart from "
            "the extension",
        )
    unpaired = {
        name: tuple(sorted(set(photos) - set(everywhere)))
        for name, photos in zip((REAL, *names), found, strict=True)
    }
    return Pairs(tuple(names), files, unpaired)


def _photos(folder: Path, fake: bool) -> dict[str, Path]:
    from photochrom.photo.formats.table import EXTENSIONS

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder", "check the name")
    plain: dict[str, Path] = {}
    colored: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or path.suffix.lower() not in EXTENSIONS or not path.is_file():
            continue
        name = below.with_suffix("").as_posix()
        home = colored if name.endswith(".color") else plain
        # One spelling for "é", and only text that SQLite can hold.
        key = unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))
        key = key.removesuffix(".color")
        if key in home:
            raise StudyError(f"{path}: stands for the same photo as {home[key]}", "remove one")
        home[key] = path
    return plain | colored if fake else plain
