"""The report as text, tables and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom._version import __version__
from photochrom.color import metrics
from photochrom.evaluate.figures import CELLS, FIGURES, STRENGTHS, Figure, Sums, figures_of
from photochrom.evaluate.question import TEMPERATURES
from photochrom.evaluate.result import Result

__all__ = [
    "FEW",
    "FID",
    "cell_text",
    "error_curves",
    "finite",
    "model_of",
    "one_a_model",
    "shown_value",
    "summary",
]

FEW = 20
"""Subjects with fewer photos are not listed: their figures would be noise."""
FID = Figure("fid", "FID", "Fréchet distance of features from the originals'", 2,
             lambda s, o: math.nan, -1)  # fmt: skip


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
        "notes": _notes(result),
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
                for name, curves in zip(names, error_curves(result), strict=True)
            },
        },
        "reliability": _reliability(result),
        "sweep": _sweep(result),
    }


def _notes(result: Result) -> list[str]:
    """What a reader of the table must know about these photos and models."""
    totals, out = result.totals(), []
    few: dict[int, list[str]] = {}
    for f in FIGURES:
        counts = [(Sums(result.sums[:, r])[f.units] > 0).sum() for r in range(len(result.rows))]
        if 0 < max(counts) < f.fewest:
            few.setdefault(f.fewest, []).append(f.title)
    for least, titles in sorted(few.items()):
        out.append(f"an interval takes {least} photos or more for {', '.join(titles)}")
    out.append(f"λ = 0 weighs by 1 / p, p being at least {metrics.RAREST:g}")
    for r in one_a_model(result):
        if Sums(totals[r])["distributions"]:
            info = result.scorer.colorizers[result.rows[r].source].info
            out.append(f"{model_of(result, r)}: {info.about_probabilities}")
    if result.scorer.distance is not None:
        out.append(f"LPIPS: {result.scorer.distance.protocol}")
    if result.fid and result.scorer.features is not None:
        out.append(
            f"FID: {result.scorer.features.protocol}; {len(result.used)} photos of each row "
            "against the same originals, by TorchMetrics. Few photos make it too large, so compare "
            "it only within one report"
        )
    return out


def _with_limits(
    values: dict[str, float], limits: dict[str, tuple[float, float]]
) -> dict[str, dict[str, float]]:
    """Value and interval of each figure that exists."""
    return {
        key: {"value": value, "low": limits[key][0], "high": limits[key][1]}
        for key, value in values.items()
        if not math.isnan(value)
    }


_CURVES = ("raw", *(f"rebalanced_{x:g}" for x in STRENGTHS))


def error_curves(result: Result) -> NDArray[np.float64]:
    """Share of errors up to t, (rows, raw and each lambda, thresholds)."""
    total = result.errors.sum(axis=-1, keepdims=True)
    share: NDArray[np.float64] = np.cumsum(result.errors, axis=-1) / total
    return share


def _reliability(result: Result) -> dict[str, Any]:
    """Stated probability and frequency in each cell, for each model with a distribution."""
    totals, out = result.totals(), {}
    for r in one_a_model(result):
        sums = Sums(totals[r])
        count = sums.cells("count")
        if sums["distributions"] == 0:
            continue
        with np.errstate(all="ignore"):
            stated, hit = (sums.cells(what) / count for what in ("stated", "hit"))
        out[model_of(result, r)] = {
            "from": CELLS[:-1].tolist(),
            "to": CELLS[1:].tolist(),
            "stated": stated.tolist(),
            "frequency": hit.tolist(),
            "share_of_probability": (sums.cells("stated") / sums["distributions"]).tolist(),
        }
    return out


def one_a_model(result: Result) -> Iterator[int]:
    """The first row of each model: they share its distribution."""
    seen: set[int] = set()
    for r, row in enumerate(result.rows):
        if row.kind == "model" and row.source not in seen:
            seen.add(row.source)
            yield r


def model_of(result: Result, r: int) -> str:
    """Name of the model of row `r`."""
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


def finite(value: Any) -> Any:
    """None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shown_value(facts: dict[str, Any]) -> list[Figure]:
    """The figures that at least one row has."""
    return [
        f for f in (*FIGURES, FID) if any(f.key in row["figures"] for row in facts["rows"])
    ]  # fmt: skip


def cell_text(figure: Figure, value: Mapping[str, float | None] | None) -> str:
    """The value with ± half the width of its interval, or with both ends if it is lopsided.

    No interval is NaN, or None as in JSON.
    """
    if value is None or value["value"] is None:
        return ""
    text = f"{value['value']:.{figure.digits}f}"
    low, high = value.get("low"), value.get("high")
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return text
    below, above = value["value"] - low, high - value["value"]
    if max(below, above) > 2 * min(below, above) + 10.0**-figure.digits:
        return f"{text} [{low:.{figure.digits}f}, {high:.{figure.digits}f}]"
    return f"{text} ± {(below + above) / 2:.{figure.digits}f}"
