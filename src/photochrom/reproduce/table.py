"""The table of a reproduction: each method's figures, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from photochrom.evaluate.figures import FIGURES, Figure, figures_of
from photochrom.evaluate.result import Result
from photochrom.evaluate.summary import cell_text
from photochrom.reproduce.recipe import Recipe

__all__ = ["agreement", "joined", "markdown"]

SHOWN = (
    "auc_raw", "auc_rebalanced_0", "auc_rebalanced_0.5", "psnr", "delta_e_2000", "colorfulness",
    "delta_colorfulness", "chroma_share", "nll", "calibration",
)  # fmt: skip
"""Figures of the table, of those of the report."""


def joined(result: Result, recipe: Recipe) -> dict[str, Any]:
    """Each method's figures: their mean over the seeds, with limits that hold for both.

    The limits are the lowest and the highest of the seeds' 95 % intervals over photos, so that they
    tell what other photos and another of these seeds would change.
    """
    totals, intervals = result.totals(), result.intervals()
    rows: dict[str, list[int]] = {}
    for r, row in enumerate(result.rows):
        name = row.name
        for objective in recipe.objectives:
            for seed in recipe.seeds:
                if row.kind == "model" and name.split(",")[0] == f"{objective}-{seed}":
                    name = objective + name.removeprefix(f"{objective}-{seed}")
        rows.setdefault(name, []).append(r)
    out = {}
    for name, members in rows.items():
        each = [figures_of(totals[r], totals[0]) for r in members]
        figures = {}
        for key in SHOWN:
            values = [figures[key] for figures in each]
            if np.isfinite(values).all():
                lows, highs = zip(*(intervals[r][key] for r in members), strict=True)
                figures[key] = {
                    "value": float(np.mean(values)),
                    "low": float(np.min(lows)),
                    "high": float(np.max(highs)),
                    "seeds": values,
                }
        out[name] = figures
    return {"photos": len(result.used), "seeds": list(recipe.seeds), "rows": out}


def _figures() -> list[Figure]:
    return [f for f in FIGURES if f.key in SHOWN]


def markdown(table: Mapping[str, Any]) -> str:
    """The table as a Markdown document."""
    figures = _figures()
    lines = [
        f"# {table['recipe']}: {len(table['seeds'])} runs of each method, {table['photos']} photos",
        "",
    ]
    if table["share_of_steps"] < 1:
        lines += [f"A rehearsal, with {table['share_of_steps']:g} of the recipe's steps.", ""]
    lines += [
        "| | " + " | ".join(f.title for f in figures) + " |",
        "|---|" + "---:|" * len(figures),
    ]
    for name, values in table["rows"].items():
        cells = [cell_text(f, values.get(f.key)) for f in figures]
        if name == "original":
            cells = ["∞" if f.key == "psnr" else c for f, c in zip(figures, cells, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "A figure is the mean over the seeds. Its limits are the lowest and the highest of their "
        "95 % intervals over photos.",
        "",
        f"- prior: {table['prior']}",
        *(f"- {note}" for note in table["notes"]),
        "",
    ]
    return "\n".join(lines)


def agreement(table: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Compare with another reproduction's table.

    Returns
    -------
    how many figures were compared, and a line for each that lies outside of the other's limits
    """
    compared, outside = 0, []
    for name, values in other["rows"].items():
        for f in _figures():
            theirs, ours = values.get(f.key), table["rows"].get(name, {}).get(f.key)
            if theirs is None or ours is None or None in (theirs["low"], theirs["high"]):
                continue
            compared += 1
            slack = 10.0**-f.digits  # what rounding can do
            if not theirs["low"] - slack <= ours["value"] <= theirs["high"] + slack:
                outside.append(
                    f"{name}, {f.title}: {ours['value']:.{f.digits}f}, theirs "
                    f"{cell_text(f, theirs)}"
                )
    return compared, outside
