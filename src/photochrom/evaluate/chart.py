"""Line charts as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chart", "LINE_COLORS", "axis_ticks"]

# Of each line: color on a light page, on a dark page, dashes. Most people with a color deficiency
# can tell these apart (Okabe and Ito, 2008).
LINE_COLORS = (
    ("#0072b2", "#56b4e9", "none"), ("#d55e00", "#e8803a", "7 3"), ("#009e73", "#2fc79c", "2 3"),
    ("#a0467c", "#cc79a7", "9 3 2 3"), ("#8a6d00", "#e0b93a", "none"), ("#333", "#ddd", "4 4"),
    ("#7b61c9", "#a794e8", "1 2"), ("#5a8f29", "#93c95f", "12 3"), ("#b03030", "#f07878", "none"),
    ("#777", "#999", "5 2 1 2"), ("#00808a", "#4ccdd6", "10 2 2 2"), ("#c2185b", "#ff80ab", "3 1"),
)  # fmt: skip

_Line = tuple[str, int, NDArray[Any], NDArray[Any]]

# Pixels of the whole chart, and of the edges of its plot.
_WIDTH, _HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 428, 10, 260


@dataclass(frozen=True)
class Chart:
    """A line chart with a legend; its colors come from the page's style."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, float]
    """Range of the axis."""
    y: tuple[float, float] | None = None
    """Range of the axis; None for that of the lines."""
    log: bool = False
    """Both axes are logarithmic."""
    diagonal: bool = False
    """Draw a dotted line where y equals x."""
    dots: bool = False
    """Draw a dot at each point of the lines."""
    level: float | None = None
    """Draw a dotted horizontal line: the value of the originals."""

    def svg(self, lines: Sequence[_Line]) -> str:
        """The chart of lines (name, number of its color, x, y)."""
        chart = self if self.y is not None else replace(self, y=self._range(lines))
        marks = chart._grid() + chart._guides()
        legend = []
        for name, number, xs, ys in lines:
            style = f"c{number % len(LINE_COLORS)}"
            points = list(zip(chart._at_x(xs), chart._at_y(ys), strict=True))
            places = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            marks.append(f'<polyline class="line {style}" points="{places}"/>')
            if self.dots:
                marks += [
                    f'<circle class="dot {style}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>'
                    for a, b in points
                ]
            legend.append(
                f'<li><svg viewBox="0 0 24 8"><line class="line {style}" x2="24" y1="4" y2="4"/>'
                f"</svg>{escape(name)}</li>"
            )
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>"
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(marks)}"
            f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
            f'<text transform="translate(12 {(_TOP + _BOTTOM) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y_label)}</text></svg>'
            f"<ul class=legend>{''.join(legend)}</ul></figure>"
        )

    def _range(self, lines: Sequence[_Line]) -> tuple[float, float]:
        """The range of y that shows all lines, with a margin."""
        values = np.concatenate([ys for *_, ys in lines] + ([[self.level]] if self.level else []))
        low, high = float(values.min()), float(values.max())
        margin = 0.05 * (high - low) or 1.0
        return max(0.0, low - margin), high + margin

    def _place(self, value: Any, axis: tuple[float, float], start: float, end: float) -> Any:
        a, b, v = (np.log10(n) if self.log else np.asarray(n) for n in (*axis, value))
        return start + (v - a) / (b - a) * (end - start)

    def _at_x(self, value: Any) -> Any:
        return self._place(value, self.x, _LEFT, _RIGHT)

    def _at_y(self, value: Any) -> Any:
        assert self.y is not None
        return self._place(value, self.y, _BOTTOM, _TOP)

    def _grid(self) -> list[str]:
        """A line and a number at each tick of the axes."""
        assert self.y is not None
        marks = []
        for value in axis_ticks(*self.x, self.log):
            x = self._at_x(value)
            marks.append(
                f'<line class=grid x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
                f'<text x="{x:.1f}" y="{_BOTTOM + 14}" text-anchor="middle">{value:g}</text>'
            )
        for value in axis_ticks(*self.y, self.log):
            y = self._at_y(value)
            marks.append(
                f'<line class=grid y1="{y:.1f}" y2="{y:.1f}" x1="{_LEFT}" x2="{_RIGHT}"/>'
                f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        return marks

    def _guides(self) -> list[str]:
        """The diagonal and the level of the originals."""
        marks = []
        if self.diagonal:
            low, high = self.x
            marks.append(
                f'<line class=level x1="{self._at_x(low):.1f}" y1="{self._at_y(low):.1f}" '
                f'x2="{self._at_x(high):.1f}" y2="{self._at_y(high):.1f}"/>'
            )
        if self.level is not None:
            y = self._at_y(self.level)
            marks.append(
                f'<line class=level x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_RIGHT - 4}" y="{y - 4:.1f}" text-anchor="end">originals</text>'
            )
        return marks


def axis_ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers within a range, for the ticks of its axis."""
    if log:
        return [
            10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        ]
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 6)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
