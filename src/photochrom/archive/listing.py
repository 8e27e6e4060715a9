"""What lies in the stores: photos, their sidecars, files of other kinds, and results."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from urllib.parse import unquote

import pyarrow as pa

from photochrom.archive.manifest import FOLDER
from photochrom.archive.spool import Spool
from photochrom.archive.store import DRAFT, Entry, NoFolder, Store
from photochrom.batch.find import SYSTEM_FOLDERS, kind_of, target_of
from photochrom.batch.sidecar import SIDECAR
from photochrom.naming import COLORED
from photochrom.photo.formats.table import INPUT_EXTENSIONS

__all__ = ["PLACED", "RESULTS", "Inputs", "results_of"]

_TEXT = pa.string()
PLACED = pa.schema([
    ("result", _TEXT),
    ("root", pa.int32()),  # number of the input
    ("key", _TEXT),
    ("size", pa.int64()),
    ("mark", _TEXT),
    ("same", pa.bool_()),  # the result has the extension of the photo
    ("passed", _TEXT),  # the kind of a file that cannot be colored
    ("beside", _TEXT),  # of NAME.color.EXT, the path without .color: it may be a result
])  # fmt: skip
"""A photo, or a file that cannot be colored, and where its result goes."""
RESULTS = pa.schema([("result", _TEXT), ("there", pa.int64()), ("token", _TEXT)])
"""A file where the results go: its size, and what changes with its content or time."""
_ROWS = 20_000


class Inputs:
    """Finds the photos of some stores.

    Parameters
    ----------
    stores : where the photos are
    output : where the results go; it is left out of the inputs
    exclude : patterns of names and paths that are left out
    note : hears of what is left out

    Attributes
    ----------
    sidecars : (root, key) of each sidecar, and its mark
    """

    def __init__(
        self,
        stores: Sequence[Store],
        output: Store,
        exclude: Sequence[str] = (),
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._stores, self._output = stores, output
        self._exclude, self._note = exclude, note
        self.sidecars: dict[tuple[int, str], str] = {}
        self.photos = 0

    def into(self, spool: Spool) -> None:
        """Write all that is found.

        Raises
        ------
        StoreError
            A store does not answer.
        """
        for number, store in enumerate(self._stores):
            rows: list[tuple[object, ...]] = []
            for page in self._pages(store):
                for entry in page:
                    row = self._row(number, store, entry)
                    if row is not None:
                        rows.append(row)
                if len(rows) >= _ROWS:
                    spool.add(_table(rows, PLACED))
                    rows = []
            spool.add(_table(rows, PLACED))
        spool.close()

    def _pages(self, store: Store) -> Iterator[list[Entry]]:
        try:
            alone = store.alone()
        except FileNotFoundError:
            alone = None
        if alone is not None:
            yield [alone]
            return
        inside = _inside(self._output, store)
        for page in store.listing(self._enters):
            yield [e for e in page if inside is None or not e.key.startswith(inside)]

    def _enters(self, name: str) -> bool:
        """Whether a folder of this name is looked into."""
        hidden = name.startswith(".") or name.lower() in SYSTEM_FOLDERS
        return not hidden and not any(fnmatch(name, p.rstrip("/")) for p in self._exclude)

    def _row(self, number: int, store: Store, entry: Entry) -> tuple[object, ...] | None:
        key = entry.key
        folder, _, name = key.rpartition("/")
        if name.startswith(".") or "" in key.split("/"):
            if not name.startswith("."):
                self._note(f"{store.name_of(key)}: skipped, because its name has an empty part")
            return None
        if name.endswith(SIDECAR):
            self.sidecars[number, key.removesuffix(SIDECAR)] = entry.mark
            return None
        if self._exclude and any(fnmatch(name, p) or fnmatch(key, p) for p in self._exclude):
            return None
        # Names on web pages are quoted.
        plain = unquote(key) if store.scheme in ("http", "https") else key
        folder, _, name = plain.rpartition("/")
        if ".." in plain.split("/") or plain.startswith("/"):
            return None
        stem, suffix = os.path.splitext(name)
        kind = ""
        result = target_of(name, folder, False)
        if suffix.lower() not in INPUT_EXTENSIONS:
            kind, result = kind_of(name), plain
            if not kind:
                return None
        else:
            self.photos += 1
        beside = ""
        if stem.endswith(COLORED):
            beside = os.path.join(folder, stem.removesuffix(COLORED))
        same = result.endswith(suffix)
        return result, number, key, entry.size, entry.mark, same, kind, beside


def _inside(output: Store, store: Store) -> str | None:
    """How the keys of results begin, if the results lie among the photos."""
    if output.name.startswith(store.name + "/"):
        return output.name[len(store.name) + 1 :] + "/"
    return None


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _if_any(pages: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
    """The pages; none if there is no such folder yet."""
    with contextlib.suppress(NoFolder):
        yield from pages


def results_of(output: Store, run: int, add: Callable[[pa.Table], None]) -> None:
    """Give all files where the results go; removes the drafts that killed runs have left.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    rows: list[tuple[object, ...]] = []
    drafts = []
    pages = output.listing(lambda name: name != FOLDER)
    for page in _if_any(pages):
        for entry in page:
            name = entry.key.rpartition("/")[2]
            if name.startswith(DRAFT):
                drafts.append(entry.key)
            elif not name.startswith("."):
                rows.append((entry.key, entry.size, f"{entry.size} {entry.time} {entry.mark}"))
        if len(rows) >= _ROWS:
            add(_table(rows, RESULTS))
            rows = []
    add(_table(rows, RESULTS))
    if run:
        output.remove(drafts)
