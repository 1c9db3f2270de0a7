"""Plots as inline SVG: they scale to the page's width, take its colours, and each mark says its figure when pointed at.

Knows nothing of talks: names and numbers in, text out. Every name is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 22, 36
# Classes of the page's style sheet; more lines than these are not told apart.
LINE_CLASSES = ("s1", "s2", "s3", "s4")


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: In the legend.
        points: (x, y, number of cases behind it).
    """

    name: str
    points: Sequence[tuple[float, float, int]]


def line_chart(lines: Sequence[Line], *, x_label: str, y_max: float, percent: bool, height: int = 220) -> str:
    """Lines over turns; y from 0 to `y_max`. A point is the larger the more cases are behind it."""
    xs = [x for line in lines for x, _, _ in line.points]
    if not xs:
        return ""
    low, high = min(xs), max(max(xs), min(xs) + 1)
    most = max(cases for line in lines for _, _, cases in line.points)
    x_of = _scale(low, high, _LEFT, WIDTH - _RIGHT)
    y_of = _scale(0, y_max, height - _BOTTOM, _TOP)
    parts = [_open(height, f"{', '.join(line.name for line in lines)} by {x_label}")]
    for step in range(5):
        value = y_max * step / 4
        parts.append(_grid(y_of(value), _figure(value, percent)))
    step_x = max(1, round((high - low) / 8))
    ticks = range(int(low), int(high) + 1, step_x)
    parts += [_label(x_of(x), height - _BOTTOM + 16, str(x), "middle") for x in ticks]
    parts.append(_label((_LEFT + WIDTH - _RIGHT) / 2, height - 2, x_label, "middle"))
    for index, (line, css) in enumerate(zip(lines, LINE_CLASSES, strict=False)):
        if len(lines) > 1:
            x = _LEFT + 8 + index * (WIDTH - _LEFT - _RIGHT) / len(lines)
            parts.append(f'<circle class="dot {css}" cx="{x:.1f}" cy="6" r="4"/>')
            parts.append(_label(x + 8, 10, line.name, "start", css="row"))
        path = " ".join(f"{x_of(x):.1f},{y_of(min(y, y_max)):.1f}" for x, y, _ in line.points)
        parts.append(f'<polyline class="line {css}" points="{path}"/>')
        for x, y, cases in line.points:
            size = 2.5 + 2.5 * (cases / most) ** 0.5
            tip = f"{line.name}, {x_label} {x:g}: {_figure(y, percent)} of {cases}"
            parts.append(_dot(x_of(x), y_of(min(y, y_max)), size, css, tip))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Interval:
    """A value with its interval, on a row of its own.

    Attributes:
        name: At its left.
        value: The mark.
        low: Lower end.
        high: Upper end.
        text: The figure in words.
        css: `good`, `bad` or empty.
    """

    name: str
    value: float
    low: float
    high: float
    text: str
    css: str = ""


def interval_chart(rows: Sequence[Interval], *, low: float, high: float, percent: bool, zero: bool = False) -> str:
    """A dot with a whisker a row; with `zero` a line stands at 0."""
    if not rows:
        return ""
    left, right, row_height = 192, 102, 24
    height = row_height * len(rows) + _BOTTOM
    x_of = _scale(low, high, left, WIDTH - right)
    parts = [_open(height, "values with 95 % intervals")]
    for step in range(3):
        value = low + (high - low) * step / 2
        parts.append(f'<line class="grid" x1="{x_of(value):.1f}" x2="{x_of(value):.1f}" y1="0" y2="{height - 24}"/>')
        parts.append(_label(x_of(value), height - 8, _figure(value, percent), "middle"))
    if zero:
        parts.append(f'<line class="zero" x1="{x_of(0):.1f}" x2="{x_of(0):.1f}" y1="0" y2="{height - 24}"/>')
    for index, row in enumerate(rows):
        y = row_height * index + row_height / 2
        css = row.css or "s1"
        parts.append(_label(left - 10, y + 4, row.name, "end", css="row"))
        ends = (x_of(max(low, row.low)), x_of(min(high, row.high)))
        parts.append(f'<line class="whisker {css}" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(_dot(x_of(min(high, max(low, row.value))), y, 5, css, f"{row.name}: {row.text}"))
        parts.append(_label(WIDTH - right + 10, y + 4, row.text, "start"))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Spread:
    """The spread of some durations.

    Attributes:
        name: At its left.
        values: Seconds.
    """

    name: str
    values: Sequence[float]


def spread_chart(rows: Sequence[Spread]) -> str:
    """A box a row: a line from the 5th to the 95th percentile, a bar over the middle half, a tick at the median."""
    rows = [row for row in rows if row.values]
    if not rows:
        return ""
    left, right, row_height = 132, 122, 26
    height = row_height * len(rows) + _BOTTOM
    high = max(_percentile(row.values, 95) for row in rows) or 1.0
    x_of = _scale(0, high, left, WIDTH - right)
    parts = [_open(height, "latency by stage, seconds")]
    for step in range(4):
        value = high * step / 3
        parts.append(f'<line class="grid" x1="{x_of(value):.1f}" x2="{x_of(value):.1f}" y1="0" y2="{height - 24}"/>')
        parts.append(_label(x_of(value), height - 8, f"{value:.2g} s", "middle"))
    for index, row in enumerate(rows):
        y = row_height * index + row_height / 2
        p5, p25, p50, p75, p95 = (_percentile(row.values, percent) for percent in (5, 25, 50, 75, 95))
        text = f"{p50:.2f} s, p95 {p95:.2f} s"
        parts.append(_label(left - 10, y + 4, row.name, "end", css="row"))
        parts.append(f'<line class="whisker s1" x1="{x_of(p5):.1f}" x2="{x_of(p95):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<rect class="box s1" x="{x_of(p25):.1f}" y="{y - 7}" width="{max(1.0, x_of(p75) - x_of(p25)):.1f}" '
            f'height="14" rx="2"><title>{escape(f"{row.name}: {text}, {len(row.values)} turns")}</title></rect>'
        )
        parts.append(f'<line class="median" x1="{x_of(p50):.1f}" x2="{x_of(p50):.1f}" y1="{y - 9}" y2="{y + 9}"/>')
        parts.append(_label(WIDTH - right + 10, y + 4, text, "start"))
    return "".join([*parts, "</svg>"])


def _percentile(values: Sequence[float], percent: int) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _figure(value: float, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:.2g}"


def _open(height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label, quote=True)}">'


def _grid(y: float, text: str) -> str:
    line = f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _label(_LEFT - 6, y + 4, text, "end")


def _label(x: float, y: float, text: str, anchor: str, *, css: str = "tick") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _dot(x: float, y: float, size: float, css: str, tip: str) -> str:
    return f'<circle class="dot {css}" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"><title>{escape(tip)}</title></circle>'
