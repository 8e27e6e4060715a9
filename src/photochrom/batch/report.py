"""An overview of a finished run, made from its manifests alone: a page with pictures, or a table.

What needs a look comes first: failures, and then the photos whose colors the model was least
certain of.
"""

from __future__ import annotations

import contextlib
import csv
import html
import json
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from photochrom.batch.history import manifest_parts, opened, places_of
from photochrom.errors import PhotoError
from photochrom.files import whole
from photochrom.text import spreadsheet_cell

__all__ = ["A_PAGE", "write_report"]

A_PAGE = 1000
"""Photos in one file: pages with more make browsers slow."""
_SHOWN = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".webp", ".avif", ".gif", ".bmp")
"""Of files that every browser shows."""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color: #222; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
article { border-top: 1px solid #ccc; padding: 1rem 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; margin: .5rem 0; }
img { width: 100%; max-height: 28rem; object-fit: contain; background: #8888; }
p { margin: .25rem 0; } .failed { color: #b00020; } .note, .facts { color: #555; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; } .failed { color: #ff8a80; }
  .note, .facts { color: #aaa; } a { color: #8ab4f8; } }
"""


class _Row(NamedTuple):
    """One photo: where its line is, and what decides its rank."""

    rank: int  # 0 failed, 1 certainty known, 2 unknown, 3 a skipped color photo, 4 no photo
    bits: float
    part: int  # number of the manifest
    place: int  # of the line in it
    result_file: int  # a hash, to tell results apart


class _Entry(NamedTuple):
    """What a line says, with full paths."""

    source: str
    result: str
    fields: dict[str, Any]


def write_report(path: str, folders: Sequence[str], a_page: int = A_PAGE) -> list[str]:
    """Write the overview of all photos in the manifests of some folders.

    Parameters
    ----------
    path : ends in .html or .csv. Of a page in several files, the second is NAME-2.html.
    folders : where the manifests are
    a_page : photos in one file

    Returns
    -------
    The names of the files.

    Raises
    ------
    PhotoError
        A manifest cannot be read, or the overview not written.
    """
    parts = [(folder, part) for folder in folders for part in manifest_parts(folder)]
    rows = _rows(parts)
    if path.lower().endswith(".csv"):
        with _written(path) as file:
            _write_table(file, _entries(parts, rows))
        return [path]
    stem, suffix = os.path.splitext(path)
    count = max(1, -(-len(rows) // a_page))
    names = [path, *(f"{stem}-{n}{suffix}" for n in range(2, count + 1))]
    for n, name in enumerate(names):
        some = rows[n * a_page : (n + 1) * a_page]
        with _written(name) as file:
            _write_page(file, name, names, len(rows), _entries(parts, some))
    return names


@contextlib.contextmanager
def _written(path: str) -> Iterator[TextIO]:
    """A text file that is complete or as before."""
    with (
        whole(path, PhotoError, force=True) as draft,
        open(draft, "x", encoding="utf-8", newline="") as file,
    ):
        yield file


def _rows(parts: Sequence[tuple[str, str]]) -> list[_Row]:
    """The last line about each result, in the order of the overview."""
    found: dict[str, _Row] = {}
    for number, (folder, part) in enumerate(parts):
        for place, line in places_of(part):
            try:
                fields = json.loads(line)
                name = os.path.join(folder, fields["result"])
                row = _row(fields, number, place)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
            before = found.get(name)
            # A later look at the same result says nothing of how it was made.
            looked = row.rank == 2 and before is not None and row.result_file == before.result_file
            if not looked:
                found[name] = row
    return sorted(found.values(), key=lambda row: (row.rank, -row.bits, row.part, row.place))


def _row(fields: dict[str, Any], part: int, place: int) -> _Row:
    certainty, result = fields.get("certainty"), fields["result_file"]
    file = hash(result["sha256"]) if result else 0
    if fields["error"]:
        return _Row(0, 0.0, part, place, file)
    if fields.get("passed"):
        return _Row(4, 0.0, part, place, file)
    if not result:
        return _Row(3, 0.0, part, place, file)
    if certainty:
        return _Row(1, float(certainty["bits"]), part, place, file)
    return _Row(2, 0.0, part, place, file)


def _entries(parts: Sequence[tuple[str, str]], rows: Sequence[_Row]) -> Iterator[_Entry]:
    """What the lines say, read again from their places."""
    for row in rows:
        folder, part = parts[row.part]
        with opened(part) as file:
            file.seek(row.place)
            fields = json.loads(file.readline())
        yield _Entry(fields["source"], os.path.join(folder, fields["result"]), fields)


# --- as a table -----------------------------------------------------------------------------------

_COLUMNS = (
    "result", "source", "outcome", "message", "width", "height", "model", "bits", "weak",
    "inventions", "notes", "seconds", "time",
)  # fmt: skip


def _write_table(file: TextIO, entries: Iterator[_Entry]) -> None:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for entry in entries:
        fields = entry.fields
        certainty = fields.get("certainty") or {}
        width, height = fields.get("size") or ("", "")
        outcome, message = _outcome(fields)
        texts = [entry.result, entry.source, outcome, message]
        writer.writerow([
            *(_plain(text) for text in texts), width, height, _plain(_model(fields)),
            *(certainty.get(name, "") for name in ("bits", "weak", "inventions")),
            _plain("; ".join(fields.get("notes", []))), fields.get("seconds"), fields.get("time"),
        ])  # fmt: skip


def _plain(text: str) -> str:
    return spreadsheet_cell(text).encode("utf-8", "backslashreplace").decode()


def _model(fields: dict[str, Any]) -> str:
    return str(fields["model"]["name"])


def _outcome(fields: dict[str, Any]) -> tuple[str, str]:
    """(a word, more words) for what became of a photo."""
    own_color = fields.get("own_color", "")
    if fields["error"]:
        return "failed", str(fields["error"])
    if fields.get("passed"):
        return "passed over", f"{fields['passed']} files cannot be read"
    if own_color == "skip":
        return "skipped", "a color photo"
    if own_color == "keep":
        return "copied", "a color photo"
    return "done", "a color photo, with new colors" if own_color else ""


# --- as a page ------------------------------------------------------------------------------------


def _write_page(
    file: TextIO, path: str, names: Sequence[str], total: int, entries: Iterator[_Entry]
) -> None:
    links = " ".join(
        f"<b>{n}</b>" if name == path else f'<a href="{_url(name, path)}">{n}</a>'
        for n, name in enumerate(names, 1)
    )
    several = f"<nav>Pages: {links}</nav>" if len(names) > 1 else ""
    file.write(
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src file: 'self'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>photochrom: {total:,} photos</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{total:,} photos</h1>\n"
        "<p>Failures come first, then the photos whose colors the model was least certain of.</p>\n"
        f"{several}\n"
    )
    for entry in entries:
        file.write(_article(entry, path))
    file.write(f"{several}\n</html>\n")


def _article(entry: _Entry, path: str) -> str:
    fields = entry.fields
    word, more = _outcome(fields)
    facts = [_model(fields)]
    if size := fields.get("size"):
        facts.append(f"{size[0]} × {size[1]} pixels")
    if sure := fields.get("certainty"):
        facts += [
            f"{sure['bits']:.2f} bits",
            f"{100 * sure['weak']:.0f} % unsure",
            f"{100 * sure['inventions']:.1f} % probably invented",
        ]
    kind = "failed" if fields["error"] else "note"
    told = f"{word}: {more}" if more else ""
    notes = [told, *fields.get("notes", [])]
    words = "".join(f'<p class="{kind}">{_text(note)}</p>' for note in notes if note)
    pictures = [_picture(entry.source, path, "before")]
    if fields["result_file"]:
        pictures.append(_picture(entry.result, path, "after"))
    return (
        f"<article><h2>{_text(entry.result)}</h2>"
        f'<div class="pair">{"".join(pictures)}</div>'
        f'<p class="facts">{_text(", ".join(facts))}</p>{words}</article>\n'
    )


def _picture(file: str, page: str, what: str) -> str:
    url, name = _url(file, page), _text(os.path.basename(file))
    if os.path.splitext(file)[1].lower() in _SHOWN:
        inside = f'<img loading="lazy" src="{url}" alt="{what}: {name}">'
    else:
        inside = f"{what}: {name}"
    return f'<a href="{url}">{inside}</a>'


def _url(file: str, page: str) -> str:
    """The address of a file on a page: relative, so that the folders can be moved together."""
    try:
        relative = os.path.relpath(file, os.path.dirname(os.path.abspath(page)))
    except ValueError:  # another drive
        return html.escape(Path(os.path.abspath(file)).as_uri())
    return html.escape("./" + urllib.parse.quote(os.fsencode(relative.replace(os.sep, "/"))))


def _text(text: str) -> str:
    return html.escape(text.encode("utf-8", "backslashreplace").decode())
