"""The report as an HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from photochrom._version import __version__
from photochrom.color import metrics
from photochrom.errors import PhotochromError
from photochrom.evaluate.chart import LINE_COLORS, Chart
from photochrom.evaluate.figures import FIGURES, Figure, Sums
from photochrom.evaluate.result import Result
from photochrom.evaluate.summary import FEW, error_curves, model_of, one_a_model, shown_value
from photochrom.photo.pictures import resized, to_jpeg

__all__ = ["GRID_PHOTOS", "GRID_SIDE", "report_page"]

GRID_PHOTOS = 6
"""Photos in each grid of the page."""
GRID_SIDE = 128
"""Short side of its pictures, pixels."""


def report_page(result: Result, facts: dict[str, Any]) -> str:
    """The page, with its pictures inside; `facts` are those of `summary`."""
    asked = result.asked
    size = "at their own size"
    if asked.short_side:
        size = f"short side at most {asked.short_side} pixels"
    about = [
        f"{facts['photos']} photos, {size}, compared pixel by pixel",
        f"prior for the rebalanced columns: {facts['prior']}",
        "small figures are 95 % intervals over photos (studentized bootstrap)",
        *facts["notes"],
        f"photochrom {__version__}, {facts['made']}",
    ]
    if facts["labeled"]:
        about.insert(
            2, f"top-1 is over the {facts['labeled']} photos with a class that the classifier knows"
        )
    # A model has one color in all charts: that of its first row.
    colors = {model_of(result, r): r for r in one_a_model(result)}
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
        for n, (light, dark, dashes) in enumerate(LINE_COLORS)
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
        f"<details><summary>{len(photos)} photos skipped</summary><ul>{items}{rest}</ul></details>"
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
    figures = shown_value(facts)
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
        f"<dt>{escape(f.title)}</dt><dd>{escape(f.about)}</dd>" for f in shown_value(facts)
    )  # fmt: skip
    return f"<details><summary>What the columns mean</summary><dl>{items}</dl></details>"


def _difference_table(facts: dict[str, Any]) -> str:
    rows = [row for row in facts["rows"] if row.get("difference")]
    if not rows:
        return ""
    figures = [f for f in shown_value(facts) if any(f.key in row["difference"] for row in rows)]
    body = ""
    for row in rows:
        cells = ""
        for f in figures:
            value = row["difference"].get(f.key)
            noise = value is not None and value["low"] <= 0 <= value["high"]
            cell = _html_cell(f, value)
            cells += cell.replace("<td>", "<td class=noise>") if noise else cell
        body += f"<tr><th scope=row>{escape(row['name'])}</th>{cells}</tr>"
    return (
        f"<h3>Difference from {escape(facts['compared_with'])}, on the same photos</h3>"
        "<p>Pale figures may be noise: their interval contains 0.</p>"
        f"<div class=wide><table>{_header(figures)}<tbody>{body}</tbody></table></div>"
    )


def _error_charts(result: Result) -> str:
    curves = error_curves(result)
    t = np.arange(metrics.THRESHOLDS + 1)
    charts = []
    for k, title in ((0, "raw"), (1, "rebalanced, λ = 0")):
        lines = [
            (row.name, r, t, 100 * curves[r, k])
            for r, row in enumerate(result.rows)
            if row.kind != "truth"
        ]
        chart = Chart(
            f"AuC {title}",
            "ab error of at most t",
            "share of pixels, %",
            x=(0, metrics.THRESHOLDS),
            y=(0, 100),
        )
        charts.append(chart.svg(lines))
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
    chart = Chart(
        "Reliability",
        "stated probability of a bin, %",
        "how often it was true, %",
        x=(100 * low, 100),
        y=(100 * low, 100),
        log=True,
        diagonal=True,
        dots=True,
    )
    return (
        "<h2>Is 30 % right 30 % of the time?</h2><p>All 313 bins of all pixels, by the probability "
        "that the model gives them, without rebalancing. On the dotted line the model is honest, "
        "above it too modest, and below it too sure.</p>"
        f"<div class=charts>{chart.svg(lines)}</div>"
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
        chart = Chart(title, "temperature T", title, x=(0, 1), level=level, dots=True)
        charts.append(chart.svg(lines))
    return (
        f"<h2>Temperature</h2><p>The first {sweep['photos']} photos at each temperature of the "
        "annealed mean. Near 0 is the mode, vivid and patchy; 1 is the mean, muted.</p>"
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
        f"<h2>By subject</h2><p>Subjects with at least {FEW} photos.</p><div class=wide><table>"
        f"<thead><tr><td></td>{head}</tr><tr><td></td>{sub}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _grids(result: Result) -> str:
    """Grids of photos as each row colors them: random, best, worst, most uncertain."""
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
            ("Best", f"where {name} gains most over gray, in CIEDE2000", order[:GRID_PHOTOS]),
            ("Worst", f"where {name} loses most to gray", order[::-1][:GRID_PHOTOS]),
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
    """The rows in the order of the grids: the original comes last."""
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
