"""What an evaluation found, for a person and for a program: table, JSON, CSV, one HTML page.

The page is a single file that asks for nothing else: styles, curves and pictures are inside it.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom import metrics
from photochrom._version import __version__
from photochrom.errors import ConfigError, PhotochromError
from photochrom.evaluate import Result
from photochrom.figures import CELLS, FIGURES, STRENGTHS, Figure, Sums, figures_of
from photochrom.image import resized, to_jpeg
from photochrom.scoring import TEMPERATURES
from photochrom.text import spreadsheet_cell

__all__ = ["check_target", "summary", "table", "write_report"]

FILES = ("report.html", "report.json", "photos.csv")
GRID_PHOTOS = 6
"""Photos in each grid of the page."""
GRID_SIDE = 128
"""Short side of its pictures, pixels."""
FEW = 20
"""Subjects with fewer photos are not shown alone: their figures would be noise."""
FID = Figure("fid", "FID", "Fréchet distance of features from the originals'", 2,
             lambda s, o: math.nan, -1)  # fmt: skip


def check_target(folder: Path, work: Path, force: bool) -> None:
    """Refuse a folder whose files are not an earlier report of ours.

    Raises
    ------
    ConfigError
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; name a folder for the report")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not work.exists() and not force:
        raise ConfigError(f"{folder / taken[0]}: exists; give another folder, or --force")


def write_report(result: Result, facts: dict[str, Any], folder: Path) -> None:
    """Write report.json, photos.csv and report.html: all beside, then renamed.

    Parameters
    ----------
    facts : from `summary`
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.json": json.dumps(_finite(facts), indent=1, ensure_ascii=False) + "\n",
        "photos.csv": _csv(result),
        "report.html": _page(result, facts),
    }
    token = secrets.token_hex(4)
    beside = {name: folder / f".{name}.{token}" for name in texts}
    try:
        for name, text in texts.items():
            # A folder's name may hold bytes that are no text.
            beside[name].write_bytes(text.encode("utf-8", "replace"))
        for name, path in beside.items():
            path.replace(folder / name)
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)


# --- figures --------------------------------------------------------------------------------------


def summary(result: Result) -> dict[str, Any]:
    """All figures with their intervals, as plain values."""
    totals = result.totals()
    intervals, differences = result.intervals(), result.differences()
    reference = figures_of(totals[result.reference], totals[0])
    rows = []
    for r, row in enumerate(result.rows):
        values = figures_of(totals[r], totals[0])
        entry: dict[str, Any] = {"name": row.name, "kind": row.kind}
        if row.kind == "model":
            entry |= {
                "temperature": row.temperature,
                "rebalance": row.rebalance,
                "hints": row.hints,
            }
        entry["figures"] = _with_limits(values, intervals[r])
        if result.fid:
            entry["figures"]["fid"] = {"value": result.fid[r]}
        if r not in (0, result.reference):
            apart = {key: values[key] - reference[key] for key in values}
            entry["difference"] = _with_limits(apart, differences[r])
        rows.append(entry)
    names = [row.name for row in result.rows]
    return {
        "photochrom": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "photos": len(result.used),
        "labeled": int(Sums(totals[0])["labeled"]),
        "left_out": [{"photo": name, "reason": reason} for name, reason in result.skipped],
        "prior": result.prior,
        "settings": asdict(result.asked),
        "sources": result.sources,
        "compared_with": names[result.reference],
        "columns": {f.key: f.about for f in (*FIGURES, FID)},
        "rows": rows,
        "subjects": _subjects(result),
        "error_curves": {
            "thresholds": list(range(metrics.THRESHOLDS + 1)),
            "rows": {
                name: dict(zip(_CURVES, curves.tolist(), strict=True))
                for name, curves in zip(names, _curves(result), strict=True)
            },
        },
        "reliability": _reliability(result),
        "sweep": _sweep(result),
    }


def _with_limits(
    values: dict[str, float], limits: dict[str, tuple[float, float]]
) -> dict[str, dict[str, float]]:
    """Value and interval of each figure that there is."""
    return {
        key: {"value": value, "low": limits[key][0], "high": limits[key][1]}
        for key, value in values.items()
        if not math.isnan(value)
    }


_CURVES = ("raw", *(f"rebalanced_{x:g}" for x in STRENGTHS))


def _curves(result: Result) -> NDArray[np.float64]:
    """Share of errors up to t, (rows, raw and each lambda, thresholds)."""
    total = result.errors.sum(axis=-1, keepdims=True)
    share: NDArray[np.float64] = np.cumsum(result.errors, axis=-1) / total
    return share


def _reliability(result: Result) -> dict[str, Any]:
    """Of each model with a distribution: stated probability and frequency in each cell."""
    totals, out = result.totals(), {}
    for r in _one_a_model(result):
        sums = Sums(totals[r])
        count = sums.cells("count")
        if sums["distributions"] == 0:
            continue
        with np.errstate(all="ignore"):
            stated, hit = (sums.cells(what) / count for what in ("stated", "hit"))
        out[_model(result, r)] = {
            "from": CELLS[:-1].tolist(),
            "to": CELLS[1:].tolist(),
            "stated": stated.tolist(),
            "frequency": hit.tolist(),
            "share_of_probability": (sums.cells("stated") / sums["distributions"]).tolist(),
        }
    return out


def _one_a_model(result: Result) -> Iterator[int]:
    """The first row of each model: they share its distribution."""
    seen: set[int] = set()
    for r, row in enumerate(result.rows):
        if row.kind == "model" and row.source not in seen:
            seen.add(row.source)
            yield r


def _model(result: Result, r: int) -> str:
    return result.asked.models[result.rows[r].source][0]


def _sweep(result: Result) -> dict[str, Any]:
    """The figures of each model over the temperature."""
    keys = ("auc_raw", "auc_rebalanced_0", "auc_rebalanced_0.5", "colorfulness",
            "delta_colorfulness")  # fmt: skip
    out: dict[str, Any] = {}
    if not np.any(result.sweep):
        return out
    truth = result.sweep[-1]
    out["photos"], out["temperatures"] = int(Sums(truth[0])["photos"]), list(TEMPERATURES)
    out["colorfulness_of_originals"] = figures_of(truth[0], truth[0])["colorfulness"]
    for m, (name, _) in enumerate(result.asked.models):
        if Sums(result.sweep[m, 0])["photos"]:
            values = [figures_of(s, truth[0]) for s in result.sweep[m]]
            out.setdefault("models", {})[name] = {k: [v[k] for v in values] for k in keys}
    return out


def _subjects(result: Result) -> dict[str, Any]:
    """Figures of each subject with enough photos; empty where there is only one."""
    subjects = np.array(result.subjects)
    names = [name for name in sorted(set(result.subjects)) if (subjects == name).sum() >= FEW]
    if len(set(result.subjects)) < 2:
        return {}
    out = {}
    for name in names:
        chosen = subjects == name
        totals = result.totals(chosen)
        intervals = result.intervals(chosen, resamples=400)
        rows = {}
        for r, row in enumerate(result.rows):
            values = figures_of(totals[r], totals[0])
            del values["ms"]
            rows[row.name] = _with_limits(values, intervals[r])
        out[name] = {"photos": int(chosen.sum()), "rows": rows}
    return out


def _finite(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(facts: dict[str, Any]) -> list[Figure]:
    """The figures that at least one row has."""
    return [
        f for f in (*FIGURES, FID) if any(f.key in row["figures"] for row in facts["rows"])
    ]  # fmt: skip


def _cell(figure: Figure, value: dict[str, float] | None) -> str:
    """The value with ± half its interval's width, or with both ends where it lies lopsided."""
    if value is None:
        return ""
    text = f"{value['value']:.{figure.digits}f}"
    below, above = value["value"] - value.get("low", math.nan), value.get("high", math.nan)
    above -= value["value"]
    if math.isnan(below) or math.isnan(above):
        return text
    if max(below, above) > 2 * min(below, above) + 10.0**-figure.digits:
        return f"{text} [{value['low']:.{figure.digits}f}, {value['high']:.{figure.digits}f}]"
    return f"{text} ± {(below + above) / 2:.{figure.digits}f}"


def table(facts: dict[str, Any]) -> str:
    """The table as aligned Markdown; ± and brackets are the 95 % interval."""
    figures = _shown(facts)
    lines = [["", *(f.title for f in figures)]]
    for row in facts["rows"]:
        cells = [_cell(f, row["figures"].get(f.key)) for f in figures]
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


# --- the page -------------------------------------------------------------------------------------


def _page(result: Result, facts: dict[str, Any]) -> str:
    asked = result.asked
    size = f"short side at most {asked.short_side} pixels" if asked.short_side else "as they are"
    about = [
        f"{facts['photos']} photos, {size}, compared in every pixel",
        f"prior of the rebalanced columns: {facts['prior']}",
        "small figures: 95 % bootstrap interval over photos",
        f"photochrom {__version__}, {facts['made']}",
    ]
    if facts["labeled"]:
        about.insert(2, f"top-1: over the {facts['labeled']} photos whose class it knows")
    # A model has one color in all charts: that of its first row.
    colors = {_model(result, r): r for r in _one_a_model(result)}
    parts = [
        "<h1>How good are these colors?</h1>",
        f"<ul class=facts>{''.join(f'<li>{escape(line)}</li>' for line in about)}</ul>",
        _left_out(facts),
        "<h2>Figures</h2>",
        _html_table(facts),
        _glossary(facts),
        _difference_table(facts),
        "<h2>Error curves</h2>",
        _error_charts(result),
        _reliability_section(facts, colors),
        _sweep_section(facts, colors),
        _subject_section(result, facts),
        _grids(result),
    ]
    styles = "\n".join(
        f".c{n} {{ color: light-dark({light}, {dark}); stroke-dasharray: {dashes}; }}"
        for n, (light, dark, dashes) in enumerate(_COLORS)
    )
    return _HTML.format(body="\n".join(part for part in parts if part), colors=styles)


def _left_out(facts: dict[str, Any]) -> str:
    photos = facts["left_out"]
    if not photos:
        return ""
    rest = f"<li>and {len(photos) - 50} more, in report.json</li>" if len(photos) > 50 else ""
    items = "".join(
        f"<li>{escape(p['photo'])}: {escape(p['reason'])}</li>" for p in photos[:50]
    )  # fmt: skip
    return (
        f"<details><summary>{len(photos)} photos left out</summary><ul>{items}{rest}</ul></details>"
    )


def _header(figures: Sequence[Figure]) -> str:
    cells = "".join(
        f'<th scope=col title="{escape(f.about)}">{escape(f.title)}</th>' for f in figures
    )
    return f"<thead><tr><td></td>{cells}</tr></thead>"


def _html_cell(figure: Figure, value: dict[str, float] | None, best: bool = False) -> str:
    if value is None:
        return "<td></td>"
    number = f"{value['value']:.{figure.digits}f}"
    if best:
        number = f"<b>{number}</b>"
    if "low" in value and not math.isnan(value["low"]):
        low, high = (f"{value[k]:.{figure.digits}f}" for k in ("low", "high"))
        number += f"<small>{low} … {high}</small>"
    return f"<td>{number}</td>"


def _html_table(facts: dict[str, Any]) -> str:
    figures = _shown(facts)
    contest = [row for row in facts["rows"] if row["kind"] not in ("truth", "random")]
    best: dict[str, float] = {}
    for f in figures:
        values = [row["figures"][f.key]["value"] for row in contest if f.key in row["figures"]]
        if f.best and values:
            best[f.key] = max(values) if f.best > 0 else min(values)
    body = ""
    for row in facts["rows"]:
        cells = "".join(
            "<td>∞</td>"
            if f.key == "psnr" and row["kind"] == "truth"
            else _html_cell(
                f,
                row["figures"].get(f.key),
                row["kind"] not in ("truth", "random")
                and best.get(f.key) == row["figures"].get(f.key, {}).get("value", math.nan),
            )
            for f in figures
        )
        body += f"<tr class={row['kind']}><th scope=row>{escape(row['name'])}</th>{cells}</tr>"
    return f"<div class=wide><table>{_header(figures)}<tbody>{body}</tbody></table></div>"


def _glossary(facts: dict[str, Any]) -> str:
    items = "".join(
        f"<dt>{escape(f.title)}</dt><dd>{escape(f.about)}</dd>" for f in _shown(facts)
    )  # fmt: skip
    return f"<details><summary>What the columns mean</summary><dl>{items}</dl></details>"


def _difference_table(facts: dict[str, Any]) -> str:
    rows = [row for row in facts["rows"] if row.get("difference")]
    if not rows:
        return ""
    figures = [f for f in _shown(facts) if any(f.key in row["difference"] for row in rows)]
    body = ""
    for row in rows:
        cells = ""
        for f in figures:
            value = row["difference"].get(f.key)
            sure = value is not None and (value["low"] > 0 or value["high"] < 0)
            cell = _html_cell(f, value)
            cells += cell if sure or value is None else cell.replace("<td>", "<td class=noise>")
        body += f"<tr><th scope=row>{escape(row['name'])}</th>{cells}</tr>"
    return (
        f"<h3>Difference from {escape(facts['compared_with'])}, on the same photos</h3>"
        "<p>Pale: the interval holds 0, so it may be noise.</p>"
        f"<div class=wide><table>{_header(figures)}<tbody>{body}</tbody></table></div>"
    )


def _error_charts(result: Result) -> str:
    curves = _curves(result)
    t = np.arange(metrics.THRESHOLDS + 1)
    charts = []
    for k, title in ((0, "raw"), (1, "rebalanced, λ = 0")):
        lines = [
            (row.name, r, t, 100 * curves[r, k])
            for r, row in enumerate(result.rows)
            if row.kind != "truth"
        ]
        charts.append(chart(lines, f"AuC {title}", "ab error up to t", "share of pixels, %",
                            x=(0, metrics.THRESHOLDS), y=(0, 100)))  # fmt: skip
    return f"<div class=charts>{''.join(charts)}</div>"


def _reliability_section(facts: dict[str, Any], colors: dict[str, int]) -> str:
    if not facts["reliability"]:
        return ""
    low = 1e-3
    lines = []
    for name, cells in facts["reliability"].items():
        stated, hit = (np.array(cells[k], float) for k in ("stated", "frequency"))
        there = (stated >= low) & (hit >= low)
        lines.append((name, colors[name], 100 * stated[there], 100 * hit[there]))
    diagram = chart(lines, "Reliability", "stated probability of a bin, %", "true so often, %",
                    x=(100 * low, 100), y=(100 * low, 100), log=True, diagonal=True,
                    dots=True)  # fmt: skip
    return (
        "<h2>Is 30 % right 30 % of the time?</h2><p>All 313 bins of all pixels, by the probability "
        "that the model gives them, rebalancing taken off. On the dotted line it is honest; above "
        "it too modest, below it too sure.</p>"
        f"<div class=charts>{diagram}</div>"
    )


def _sweep_section(facts: dict[str, Any], colors: dict[str, int]) -> str:
    sweep = facts["sweep"]
    if not sweep.get("models"):
        return ""
    t = np.array(sweep["temperatures"])
    charts = []
    for key, title in (
        ("auc_raw", "AuC raw"),
        ("auc_rebalanced_0", "AuC rebalanced, λ = 0"),
        ("colorfulness", "Colorfulness CF"),
        ("delta_colorfulness", "ΔCF"),
    ):
        lines = [(n, colors[n], t, np.array(v[key])) for n, v in sweep["models"].items()]
        level = sweep["colorfulness_of_originals"] if key == "colorfulness" else None
        charts.append(chart(lines, title, "temperature T", title, x=(0, 1), level=level, dots=True))
    return (
        f"<h2>Temperature</h2><p>The first {sweep['photos']} photos at each temperature of the "
        "annealed mean: towards 0 the mode, vivid and patchy; 1 is the mean, muted.</p>"
        f"<div class=charts>{''.join(charts)}</div>"
    )


def _subject_section(result: Result, facts: dict[str, Any]) -> str:
    subjects = facts["subjects"]
    if not subjects:
        return ""
    shown = [f for f in FIGURES if f.key in ("auc_raw", "auc_rebalanced_0.5", "delta_e_2000",
                                             "chroma_share", "colorfulness")]  # fmt: skip
    names = [result.rows[r].name for r in dict.fromkeys([1, result.reference])]
    head = "".join(f"<th scope=colgroup colspan={len(names)}>{escape(f.title)}</th>" for f in shown)
    sub = "".join(f"<th scope=col>{escape(n)}</th>" for _ in shown for n in names)
    body = ""
    for subject, entry in subjects.items():
        cells = "".join(_html_cell(f, entry["rows"][n].get(f.key)) for f in shown for n in names)
        body += (
            f"<tr><th scope=row>{escape(subject)} <small>{entry['photos']}</small></th>{cells}</tr>"
        )
    return (
        f"<h2>By subject</h2><p>Subjects with {FEW} photos and more.</p><div class=wide><table>"
        f"<thead><tr><td></td>{head}</tr><tr><td></td>{sub}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


# --- pictures -------------------------------------------------------------------------------------


def _grids(result: Result) -> str:
    """Photos with what each row makes of them: random, best, worst, most uncertain."""
    rows = result.rows
    judged = next((r for r, row in enumerate(rows) if row.kind in ("model", "folder")), None)
    n = len(result.used)
    rng = np.random.default_rng(result.asked.seed)
    chosen = [("Random", "", np.sort(rng.permutation(n)[:GRID_PHOTOS]))]
    if judged is not None:
        sums = Sums(result.sums[:, judged])
        gain = sums["delta_e"] - Sums(result.sums[:, 1])["delta_e"]
        name = escape(rows[judged].name)
        order = np.argsort(gain, kind="stable")
        chosen += [
            ("Best", f"{name} gains most on gray, in CIEDE2000", order[:GRID_PHOTOS]),
            ("Worst", f"{name} loses most against gray", order[::-1][:GRID_PHOTOS]),
        ]
        if sums["distributions"].any():
            unsure = np.argsort(-sums["entropy"], kind="stable")[:GRID_PHOTOS]
            chosen.append(("Most uncertain", f"highest mean entropy of {name}", unsure))
    out = "<h2>Photos</h2>"
    for title, why, photos in chosen:
        lines = "".join(_grid_line(result, int(p)) for p in photos)
        head = "".join(f"<th scope=col>{escape(row.name)}</th>" for row in _shown_last(rows))
        out += (
            f"<h3>{title}</h3>" + (f"<p>{why}.</p>" if why else "") + "<div class=wide>"
            f"<table class=photos><thead><tr>{head}</tr></thead><tbody>{lines}</tbody>"
            "</table></div>"
        )
    return out


def _shown_last(rows: Sequence[Any]) -> list[Any]:
    """The rows as the grids show them: the original at the end, where one looks for it."""
    return [*rows[1:], rows[0]]


def _grid_line(result: Result, n: int) -> str:
    i, key = int(result.used[n]), result.keys[n]
    try:
        truth = result.scorer.original(i)
        predictions = result.scorer.predictions(i, truth)
        pictures = [rgb for rgb, _ in result.scorer.results(i, truth, predictions)]
    except PhotochromError as error:  # the file may have gone since it was measured
        return f"<tr><td colspan={len(result.rows)}>{escape(str(error))}</td></tr>"
    cells = ""
    for row, rgb in zip(_shown_last(result.rows), _shown_last(pictures), strict=True):
        scale = GRID_SIDE / min(rgb.shape[:2])
        height, width = (max(1, min(3 * GRID_SIDE, round(s * scale))) for s in rgb.shape[:2])
        data = base64.b64encode(to_jpeg(resized(rgb, height, width))).decode()
        cells += (
            f'<td><img src="data:image/jpeg;base64,{data}" width={width} height={height} '
            f'alt="{escape(key)}, {escape(row.name)}" title="{escape(key)}"></td>'
        )
    return f"<tr>{cells}</tr>"


# --- charts ---------------------------------------------------------------------------------------

# As they are told apart by most people with a color deficiency (Okabe and Ito, 2008), each with its
# dashes; light and dark page.
_COLORS = (
    ("#0072b2", "#56b4e9", "none"), ("#d55e00", "#e8803a", "7 3"), ("#009e73", "#2fc79c", "2 3"),
    ("#a0467c", "#cc79a7", "9 3 2 3"), ("#8a6d00", "#e0b93a", "none"), ("#333", "#ddd", "4 4"),
    ("#7b61c9", "#a794e8", "1 2"), ("#5a8f29", "#93c95f", "12 3"), ("#b03030", "#f07878", "none"),
    ("#777", "#999", "5 2 1 2"), ("#00808a", "#4ccdd6", "10 2 2 2"), ("#c2185b", "#ff80ab", "3 1"),
)  # fmt: skip

_Line = tuple[str, int, NDArray[Any], NDArray[Any]]


def chart(
    lines: Sequence[_Line],
    title: str,
    x_label: str,
    y_label: str,
    *,
    x: tuple[float, float],
    y: tuple[float, float] | None = None,
    log: bool = False,
    diagonal: bool = False,
    dots: bool = False,
    level: float | None = None,
) -> str:
    """A line chart as SVG, with a legend; colors come from the page's style.

    Parameters
    ----------
    lines : (name, number of its color, x, y) of each
    x, y : ranges of the axes; y None for that of the lines
    log : both axes are logarithmic
    level : a dotted horizontal line: what the originals have
    """
    width, height, left, bottom, top, right = 440, 300, 52, 40, 10, 12
    if y is None:
        values = np.concatenate([ys for *_, ys in lines] + ([[level]] if level else []))
        low, high = float(values.min()), float(values.max())
        margin = 0.05 * (high - low) or 1.0
        y = (max(0.0, low - margin), high + margin)

    def place(value: Any, axis: tuple[float, float], start: float, end: float) -> Any:
        a, b, v = (np.log10(n) if log else np.asarray(n) for n in (*axis, value))
        return start + (v - a) / (b - a) * (end - start)

    def at_x(value: Any) -> Any:
        return place(value, x, left, width - right)

    def at_y(value: Any) -> Any:
        return place(value, y, height - bottom, top)

    marks = []
    for value in _ticks(*x, log):
        marks.append(
            f'<line class=grid x1="{at_x(value):.1f}" x2="{at_x(value):.1f}" y1="{top}" '
            f'y2="{height - bottom}"/><text x="{at_x(value):.1f}" y="{height - bottom + 14}" '
            f'text-anchor="middle">{value:g}</text>'
        )
    for value in _ticks(*y, log):
        marks.append(
            f'<line class=grid y1="{at_y(value):.1f}" y2="{at_y(value):.1f}" x1="{left}" '
            f'x2="{width - right}"/><text x="{left - 5}" y="{at_y(value) + 4:.1f}" '
            f'text-anchor="end">{value:g}</text>'
        )
    if diagonal:
        marks.append(
            f'<line class=level x1="{at_x(x[0]):.1f}" y1="{at_y(x[0]):.1f}" '
            f'x2="{at_x(x[1]):.1f}" y2="{at_y(x[1]):.1f}"/>'
        )
    if level is not None:
        marks.append(
            f'<line class=level x1="{left}" x2="{width - right}" y1="{at_y(level):.1f}" '
            f'y2="{at_y(level):.1f}"/><text x="{width - right - 4}" y="{at_y(level) - 4:.1f}" '
            'text-anchor="end">originals</text>'
        )
    legend = []
    for name, number, xs, ys in lines:
        style = f"c{number % len(_COLORS)}"
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(at_x(xs), at_y(ys), strict=True))
        marks.append(f'<polyline class="line {style}" points="{points}"/>')
        if dots:
            marks += [
                f'<circle class="dot {style}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>'
                for a, b in zip(at_x(xs), at_y(ys), strict=True)
            ]
        legend.append(
            f'<li><svg viewBox="0 0 24 8"><line class="line {style}" x2="24" y1="4" y2="4"/></svg>'
            f"{escape(name)}</li>"
        )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(marks)}"
        f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text transform="translate(12 {(top + height - bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text></svg>'
        f"<ul class=legend>{''.join(legend)}</ul></figure>"
    )


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        return [
            10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        ]
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>photochrom: evaluation</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; --ink: light-dark(#1d1d1f, #ececec);
 --pale: light-dark(#6b6b70, #a0a0a6); --rule: light-dark(#dcdce0, #3a3a3f);
 --paper: light-dark(#fff, #17171a); }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
 max-width: 1440px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; }} h2 {{ margin-top: 2.5rem; font-size: 1.3rem; }}
p, li, dd {{ max-width: 46rem; }}
.facts {{ color: var(--pale); padding-left: 1.1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--rule);
 white-space: nowrap; }}
th[scope=row] {{ text-align: left; position: sticky; left: 0; background: var(--paper); }}
thead th {{ vertical-align: bottom; }} th[scope=colgroup] {{ text-align: center; }}
td small {{ display: block; color: var(--pale); font-size: .72rem; }}
th small {{ color: var(--pale); font-weight: normal; }}
tr.truth, tr.gray, tr.random {{ color: var(--pale); }}
td.noise {{ opacity: .45; }}
.photos th {{ text-align: center; font-size: .85rem; }}
.photos td {{ padding: 2px; border: 0; text-align: center; }} img {{ display: block; }}
.charts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 1rem; }}
figure {{ margin: 0; max-width: 560px; }} figcaption {{ font-weight: 600; }}
svg {{ width: 100%; height: auto; }} svg text {{ font-size: 11px; fill: var(--pale); }}
.grid {{ stroke: var(--rule); }} .level {{ stroke: var(--pale); stroke-dasharray: 2 4; }}
.line {{ fill: none; stroke: currentColor; stroke-width: 2; }}
.dot {{ fill: currentColor; }}
{colors}
.dot {{ stroke-dasharray: none; }}
.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: 0;
 font-size: .85rem; }}
.legend svg {{ width: 1.6rem; height: .5rem; margin-right: .4rem; vertical-align: middle; }}
dt {{ font-weight: 600; }} summary {{ cursor: pointer; }}
</style></head><body>
{body}
</body></html>
"""
