"""The photos of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator

from photochrom.batch.job import identity, result_name
from photochrom.batch.manifest import manifest_parts, read_manifests
from photochrom.naming import COLORED

__all__ = ["find_photos", "target_of"]


# Of trash cans, network drives and file systems: copies, thumbnails and what was thrown away.
_SYSTEM = frozenset(
    ["@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"]
)


def find_photos(
    folder: str,
    skip: str | None = None,
    problem: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """Photos of a folder tree in the order of their names; links to folders are not followed.

    Parameters
    ----------
    folder : where to look. Hidden files and folders, those of the system, everything in `skip`, and
        results are left out: the files that a manifest in the folder or below it names. If results
        lie beside the photos, a file that is named like one is a result too: NAME.color.EXT beside
        NAME.EXT.
    skip : the output folder; None if results lie beside the photos
    problem : called for each folder that cannot be read
    note : called for each folder that is a link, or whose results are left out
    """
    from photochrom.photo.formats.table import INPUT_EXTENSIONS

    output = identity(skip) if skip is not None else None

    def unreadable(error: OSError) -> None:
        problem(f"{error.filename}: the folder cannot be read: {error.strerror}")

    known: Container[str] | None = None  # read on demand
    earlier: dict[str, Container[str]] = {}  # the manifests of folders below
    told: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        if here != folder and manifest_parts(here):
            earlier[here] = read_manifests(here)
        above = [
            base for base in earlier if os.path.join(here, "").startswith(os.path.join(base, ""))
        ]
        for name in list(folders):
            path = os.path.join(here, name)
            hidden = name.startswith(".") or name.lower() in _SYSTEM
            if hidden or (output is not None and identity(path) == output):
                folders.remove(name)
            elif os.path.islink(path):
                note(
                    f"{path}: skipped, because it is a link to a folder; to color it, name it "
                    "as an input"
                )
        beside = {target_of(name, "", True) for name in files} if skip is None else set()
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in INPUT_EXTENSIONS or name.startswith("."):
                continue
            path = os.path.join(here, name)
            if base := next((b for b in above if result_name(path, b) in earlier[b]), None):
                if base not in told:
                    note(
                        f"{base}: skipped the results of an earlier run; to color them, name "
                        "the folder as an input"
                    )
                told.add(base)
                continue
            if stem.endswith(".color"):
                known = read_manifests(folder) if known is None else known
                if name in beside or result_name(path, folder) in known:
                    continue
            yield path


def target_of(source: str, folder: str, beside: bool) -> str:
    """NAME.color.EXT beside the photo, elsewhere NAME.EXT; .png if EXT cannot be written."""
    from photochrom.photo.formats.table import RESULT_EXTENSIONS

    stem, suffix = os.path.splitext(os.path.basename(source))
    suffix = suffix if suffix.lower() in RESULT_EXTENSIONS else ".png"
    return os.path.join(folder, f"{stem}{COLORED if beside else ''}{suffix}")
