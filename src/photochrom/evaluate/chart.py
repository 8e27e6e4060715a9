"""Line charts as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINE_COLORS", "chart"]

# As they are told apart by most people with a color deficiency (Okabe and Ito, 2008), each with its
# dashes; light and dark page.
LINE_COLORS = (
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
        style = f"c{number % len(LINE_COLORS)}"
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
