"""The results of an evaluation for people and programs: table, JSON, CSV, an HTML page.

The page is a single file that asks for nothing else: styles, curves and pictures are inside it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from photochrom.errors import ConfigError
from photochrom.evaluate.figures import FIGURES, Sums
from photochrom.evaluate.page import report_page
from photochrom.evaluate.result import Result
from photochrom.evaluate.summary import cell_text, finite, shown_value
from photochrom.files import whole
from photochrom.text import spreadsheet_cell

__all__ = ["check_target", "table", "write_report"]

FILES = ("report.html", "report.json", "photos.csv")


def check_target(folder: Path, work: Path, force: bool) -> None:
    """Check that a folder is free for a report, or holds an earlier one.

    Raises
    ------
    ConfigError
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file", "give a folder for the report")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not work.exists() and not force:
        raise ConfigError(
            f"{folder / taken[0]}: already exists", "give another folder, or use --force"
        )


def write_report(result: Result, facts: dict[str, Any], folder: Path) -> None:
    """Write report.json, photos.csv and report.html; they get their names once all are complete.

    Parameters
    ----------
    facts : from `summary`
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.json": json.dumps(finite(facts), indent=1, ensure_ascii=False) + "\n",
        "photos.csv": _csv(result),
        "report.html": report_page(result, facts),
    }
    with contextlib.ExitStack() as all_three:
        for name, text in texts.items():
            draft = all_three.enter_context(whole(folder / name, force=True))
            # The name of a folder may hold bytes that are not text.
            Path(draft).write_bytes(text.encode("utf-8", "replace"))


def table(facts: dict[str, Any]) -> str:
    """The table as aligned Markdown; ± and brackets are 95 % intervals."""
    figures = shown_value(facts)
    lines = [["", *(f.title for f in figures)]]
    for row in facts["rows"]:
        cells = [cell_text(f, row["figures"].get(f.key)) for f in figures]
        if row["kind"] == "truth":
            cells = ["∞" if f.key == "psnr" else c for f, c in zip(figures, cells, strict=True)]
        lines.append([row["name"].replace("|", "\\|"), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for n, line in enumerate(lines):
        head, *cells = (
            c.rjust(w) if k else c.ljust(w)
            for k, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        text.append("| " + " | ".join([head, *cells]) + " |")
        if n == 0:
            rules = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
            text.append("| " + " | ".join(rules) + " |")
    return "\n".join(text)


def _csv(result: Result) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    figures = [f for f in FIGURES if f.key not in ("delta_colorfulness", "calibration")]
    writer.writerow(["photo", "subject", "row", *(f.key for f in figures), "entropy"])
    columns = []
    with np.errstate(all="ignore"):
        for r in range(len(result.rows)):
            sums, truth = Sums(result.sums[:, r]), Sums(result.sums[:, 0])
            each = [f.of(sums, truth) for f in figures]
            columns.append([*each, sums["entropy"] / sums["distributions"]])
    for n, (key, subject) in enumerate(zip(result.keys, result.subjects, strict=True)):
        for row, values in zip(result.rows, columns, strict=True):
            cells = [f"{v[n]:.6g}" if np.isfinite(v[n]) else "" for v in values]
            names = (spreadsheet_cell(text) for text in (key, subject, row.name))
            writer.writerow([*names, *cells])
    return file.getvalue()
