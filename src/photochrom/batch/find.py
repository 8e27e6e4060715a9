"""The photos of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator

from photochrom.batch.job import identity, result_state
from photochrom.batch.manifest import manifest_parts, read_manifests
from photochrom.naming import COLORED

__all__ = ["find_photos", "target_of"]


def find_photos(
    folder: str,
    skip: str | None = None,
    problem: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """Photos of a folder tree in order, by their names; links to folders are not followed.

    Parameters
    ----------
    folder : where to look; what lies in `skip`, hidden files and results are left out. A result is
        what the manifest in the folder says, and, where results lie beside the photos, what has the
        name of one whose photo is there: NAME.color.EXT of NAME.EXT. Below the folder, what another
        manifest says: the output of an earlier run among the photos.
    skip : the output folder; None if results lie beside the photos
    problem : told of each folder that cannot be read
    note : told of each folder that is left out because it is a link, or has results left out
    """
    from photochrom.photo.formats.table import INPUT_EXTENSIONS

    output = identity(skip) if skip is not None else None

    def unreadable(error: OSError) -> None:
        problem(f"{error.filename}: the folder cannot be read: {error.strerror}")

    known: Container[str] | None = None  # read when it is needed
    earlier: dict[str, Container[str]] = {}  # what the manifests of folders below say
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
            if output is not None and identity(path) == output:
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
            if base := next((b for b in above if result_state(path, b) in earlier[b]), None):
                if base not in told:
                    note(
                        f"{base}: skipped the results of an earlier run; to color them, name "
                        "the folder as an input"
                    )
                told.add(base)
                continue
            if stem.endswith(".color"):
                known = read_manifests(folder) if known is None else known
                if name in beside or result_state(path, folder) in known:
                    continue
            yield path


def target_of(source: str, folder: str, beside: bool) -> str:
    """NAME.color.EXT beside the photo, else its own name; PNG where EXT cannot be written."""
    from photochrom.photo.formats.table import RESULT_EXTENSIONS

    stem, suffix = os.path.splitext(os.path.basename(source))
    suffix = suffix if suffix.lower() in RESULT_EXTENSIONS else ".png"
    return os.path.join(folder, f"{stem}{COLORED if beside else ''}{suffix}")
