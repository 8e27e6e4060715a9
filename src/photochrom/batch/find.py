"""What is a photo: the same in a folder, among many names, and for a single name.

A result of an earlier run is never a photo to color. It is known by a manifest in its folder or
above it, or by its name and place: NAME.color.EXT beside NAME.EXT.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import NamedTuple

from photochrom.batch.history import MANIFEST, History, read_history
from photochrom.batch.job import Places, identity
from photochrom.batch.sidecar import SIDECAR
from photochrom.naming import COLORED

__all__ = ["SYSTEM_FOLDERS", "Asked", "Found", "Teller", "find", "kind_of", "target_of"]

# Of trash cans, network drives and file systems: copies, thumbnails and what was thrown away.
SYSTEM_FOLDERS = frozenset(
    ["@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"]
)
_KINDS = {
    "JPEG 2000": ".jp2 .j2k .j2c .jpc .jpf .jpm .jpx",
    "JPEG XL": ".jxl",
    "JPEG XR": ".jxr .hdp .wdp",
    "Photoshop": ".psd .psb",
    "GIMP": ".xcf",
    "camera raw": ".crw .dcr .fff .kdc .mos .mrw .raw .srf .x3f",
    "PDF": ".pdf",
    "DjVu": ".djv .djvu",
    "OpenEXR": ".exr",
    "FITS": ".fit .fits .fts",
    "Targa": ".tga",
    "PCX": ".pcx",
}  # fmt: skip
_KIND_OF = {suffix: kind for kind, listed in _KINDS.items() for suffix in listed.split()}


@dataclass(frozen=True)
class Asked:
    """What the user named, and where the results go."""

    inputs: Sequence[str]
    """Photos and folders."""
    output: str | None = None
    """A folder, or for a single photo also a file; None if results lie beside the photos."""
    into_folder: bool = True
    """Whether the output is a folder."""
    exclude: Sequence[str] = ()
    """Patterns of names, or of paths from an input folder, that are left out."""


@dataclass(frozen=True)
class Teller:
    """Whom to tell what."""

    problem: Callable[[str], None] = lambda text: None
    """A folder cannot be read."""
    note: Callable[[str], None] = lambda text: None
    """Something is left out that the user may have meant."""


class Passed(NamedTuple):
    """A file that cannot be colored."""

    source: str
    result: str  # what the manifest calls it by
    kind: str


@dataclass
class Found:
    """The photos, and what is known of them."""

    photos: list[tuple[str, str]] = field(default_factory=list)
    """(source, target) each, in the order of their names."""
    passed: list[Passed] = field(default_factory=list)
    """Files of kinds that cannot be colored."""
    results: int = 0
    """How many results of earlier runs are left out."""
    history: History = field(default_factory=History)
    """What is known of all targets."""


class _Candidate(NamedTuple):
    """A file that may be a photo."""

    source: str
    target: str
    named: bool  # by the user
    beside: bool  # named like a result, and the photo is there


def find(asked: Asked, tell: Teller | None = None) -> Found:
    """The photos that the user means, in the order of their names.

    Hidden files and folders below an input, those of the system, and the output folder are left
    out. Links to folders are not followed.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    tell = tell or Teller()
    found = Found()
    candidates: list[_Candidate] = []
    for item in asked.inputs:
        if os.path.isdir(item):
            candidates += _below(item, asked, tell, found)
        elif not _is_ours(item) and not _excluded(os.path.basename(item), "", asked):
            candidates.append(_named(item, asked))
    places = Places()
    paths = [places.of(path) for one in candidates for path in one[:2]]
    paths += [places.of(passed.result) for passed in found.passed]
    found.history = read_history(dict.fromkeys(paths))
    skipped = Counter[str]()
    for one in candidates:
        home = found.history.written_in.get(places.of(one.source))
        if home is None and not one.beside:
            found.photos.append((one.source, one.target))
            continue
        found.results += 1
        if one.named:
            skipped[one.source] += 1
        elif not one.beside and home is not None:
            skipped[home] += 1
    _tell_skipped(skipped, asked, tell)
    return found


def _tell_skipped(skipped: Counter[str], asked: Asked, tell: Teller) -> None:
    named = [path for path in skipped if not os.path.isdir(path)]
    if len(named) == 1:
        tell.note(f"{named[0]}: skipped, because it is the result of an earlier run")
    elif named:
        tell.note(f"skipped {len(named)} results of earlier runs")
    for home in skipped.keys() - set(named):
        tell.note(
            f"{home}: skipped the results of an earlier run; to color them, copy them elsewhere"
        )


def _named(item: str, asked: Asked) -> _Candidate:
    """A photo that the user has named."""
    if asked.output is not None and not asked.into_folder:
        target = asked.output
    else:
        beside = asked.output is None
        target = target_of(_own_name(item), asked.output or os.path.dirname(item), beside)
    folder, name = os.path.split(item)
    is_beside = False
    if os.path.splitext(name)[0].endswith(COLORED):
        try:
            is_beside = name in _results_beside(os.listdir(folder or "."))
        except OSError:
            is_beside = False
    return _Candidate(item, target, True, is_beside)


def _results_beside(names: Sequence[str]) -> set[str]:
    """The names of the results that would lie beside these files."""
    return {target_of(name, "", True) for name in names}


def _below(folder: str, asked: Asked, tell: Teller, found: Found) -> Iterator[_Candidate]:
    """The photos of a folder tree; `found` takes files of other kinds."""
    from photochrom.photo.formats.table import INPUT_EXTENSIONS

    twins = 0
    output = None if asked.output is None else identity(asked.output)

    def unreadable(error: OSError) -> None:
        tell.problem(f"{error.filename}: the folder cannot be read: {error.strerror}")

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = _entered(here, sorted(folders), output, asked, tell)
        below = os.path.relpath(here, folder)
        below = "" if below == "." else below
        into = here if asked.output is None else os.path.join(asked.output, below)
        into = into.rstrip(os.sep) if below == "" and into != os.sep else into
        beside: set[str] | None = None
        shown = [n for n in files if not (n.startswith(".") or _excluded(n, below, asked))]
        double = _raw_twins(shown)
        twins += len(double)
        for name in sorted(set(shown) - double):
            stem, suffix = os.path.splitext(name)
            path = os.path.join(here, name)
            if suffix.lower() not in INPUT_EXTENSIONS:
                if kind := kind_of(name):
                    found.passed.append(Passed(path, os.path.join(into, name), kind))
                continue
            if stem.endswith(COLORED) and beside is None:
                beside = _results_beside(files)
            target = target_of(name, into, asked.output is None)
            yield _Candidate(path, target, False, beside is not None and name in beside)
    if twins:
        tell.note(
            f"skipped {twins} camera raw files that lie beside a photo of the same name; to color "
            "one, name it alone"
        )


def _own_name(item: str) -> str:
    """A name whose result is no other photo's: a.nef becomes a.nef.jpg if there is an a.jpg."""
    from photochrom.photo.formats.table import RAW_SUFFIXES

    folder, name = os.path.split(item)
    if os.path.splitext(name)[1].lower() not in RAW_SUFFIXES:
        return item
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return item
    return f"{item}.jpg" if name in _raw_twins(names) else item


def _raw_twins(names: Sequence[str]) -> set[str]:
    """The camera raw files that the camera has also stored as a photo."""
    from photochrom.photo.formats.table import INPUT_EXTENSIONS, RAW_SUFFIXES

    parts = [(name, *os.path.splitext(name)) for name in names]
    raw = [(name, stem) for name, stem, suffix in parts if suffix.lower() in RAW_SUFFIXES]
    if not raw:
        return set()
    photos = {
        stem for _, stem, suffix in parts if suffix.lower() in INPUT_EXTENSIONS - RAW_SUFFIXES
    }
    return {name for name, stem in raw if stem in photos}


def _entered(
    here: str, folders: list[str], output: tuple[int, int] | None, asked: Asked, tell: Teller
) -> Iterator[str]:
    """Those of the folders that are searched."""
    for name in folders:
        path = os.path.join(here, name)
        if name.startswith(".") or name.lower() in SYSTEM_FOLDERS:
            continue
        if any(fnmatch(name, pattern.rstrip("/")) for pattern in asked.exclude):
            continue
        if output is not None and identity(path) == output:
            continue
        if os.path.islink(path):
            tell.note(
                f"{path}: skipped, because it is a link to a folder; to color it, name it "
                "as an input"
            )
        yield name  # os.walk does not follow links


def _excluded(name: str, below: str, asked: Asked) -> bool:
    """Whether a pattern of --exclude matches a name, or its path from the input folder."""
    if not asked.exclude:
        return False
    path = os.path.join(below, name).replace(os.sep, "/")
    return any(fnmatch(name, p) or fnmatch(path, p) for p in asked.exclude)


def _is_ours(path: str) -> bool:
    """Whether a file is a manifest or a sidecar, which a pattern such as * names as well."""
    name = os.path.basename(path)
    return name == MANIFEST or name.endswith(SIDECAR)


def kind_of(name: str) -> str:
    """The kind of an image file that cannot be colored, by its name; "" for all others."""
    return _KIND_OF.get(os.path.splitext(name)[1].lower(), "")


def target_of(source: str, folder: str, beside: bool) -> str:
    """NAME.color.EXT beside the photo, elsewhere NAME.EXT.

    EXT becomes .jpg for camera raw, and .png for others that cannot be written.
    """
    from photochrom.photo.formats.table import RAW_SUFFIXES, RESULT_EXTENSIONS

    stem, suffix = os.path.splitext(os.path.basename(source))
    if suffix.lower() in RAW_SUFFIXES:  # its preview is a JPEG
        suffix = ".jpg"
    suffix = suffix if suffix.lower() in RESULT_EXTENSIONS else ".png"
    return os.path.join(folder, f"{stem}{COLORED if beside else ''}{suffix}")
