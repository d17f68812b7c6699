"""Curves as small SVG pictures for the report: text and lines, no script, colours by the page's style sheet."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sparring.wording import compact

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 22, 36
POINTS = 120
"""Points a curve is drawn with at most: each is the mean of its stretch."""


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y), ordered by x."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> str:
        """Its latest value, for the legend."""
        return compact(self.points[-1][1])


@dataclass(frozen=True)
class Axis:
    """A scale from data to pixels with round ticks; `log` for values over several powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About four round values inside: steps of 1, 2 or 5, or powers of ten."""
        if self.log:
            first, last = math.floor(math.log10(self.low) + 1e-9), math.ceil(math.log10(self.high) - 1e-9)
            steps = (1, 2, 5) if last - first <= 2 else (1,)
            ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            inside = [tick for tick in ticks if tick <= self.high * (1 + 1e-9)]
            return inside[:: 1 + len(inside) // 8]
        rough = (self.high - self.low) / 5
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = magnitude * min(m for m in (1, 2, 5, 10) if m * magnitude >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def chart(
    title: str,
    curves: Sequence[Curve],
    y_label: str,
    *,
    log: bool = False,
    unit_range: bool = False,
    seen: str = "images",
) -> str:
    """An SVG element with the curves over images seen, or what else was; hovering shows the values.

    `log` draws the logarithm (values <= 0 are left out), `unit_range` fixes the axis to 0-1. Points that are not
    finite are left out. Returns "" if nothing is left to draw. All texts are escaped.
    """
    curves = [
        Curve(c.name, _thin([p for p in c.points if math.isfinite(p[1]) and (p[1] > 0 or not log)])) for c in curves
    ]
    points = [point for curve in curves for point in curve.points]
    if not points:
        return ""
    x = Axis(0, max(max(p[0] for p in points), 1), LEFT, WIDTH - RIGHT)
    y = _vertical([p[1] for p in points], log, unit_range)
    lines = [_line(curve, number, x, y) for number, curve in enumerate(curves) if curve.points]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_spoken(title, curves))}">'
        f"{_grid_lines(x, y)}"
        f'<text class="label" x="{LEFT}" y="12">{escape(y_label)}</text>'
        f'<text class="label end" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}">{escape(seen)} seen</text>'
        f"{''.join(lines)}{_hover_bands(curves, x, seen)}</svg>"
    )


def _vertical(values: list[float], log: bool, unit_range: bool) -> Axis:
    low, high = (0.0, 1.0) if unit_range else (min(values), max(values))
    if log:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high) + 1e-9)
    elif not unit_range:
        low, high = min(low, 0.0), max(high, 0.0)
        high = high + 0.05 * (high - low) or 1.0
    return Axis(low, high, HEIGHT - BOTTOM, TOP, log)


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most POINTS points: x is the last and y the mean of each stretch."""
    size = math.ceil(len(points) / POINTS) or 1
    stretches = [points[i : i + size] for i in range(0, len(points), size)]
    return [(stretch[-1][0], sum(p[1] for p in stretch) / len(stretch)) for stretch in stretches]


def _line(curve: Curve, number: int, x: Axis, y: Axis) -> str:
    places = [(x(px), y(py)) for px, py in curve.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    end_x, end_y = places[-1]
    dot = f'<circle class="dot-{number}" cx="{end_x:.1f}" cy="{end_y:.1f}" r="3"/>'
    return f'<polyline class="line-{number}" points="{path}"/>{dot}'


def _grid_lines(x: Axis, y: Axis) -> str:
    across = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{compact(tick)}</text>'
        for tick in y.ticks()
    ]
    along = [
        f'<text class="middle" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 15}">{compact(tick)}</text>'
        for tick in x.ticks()
    ]
    return "".join(across + along)


def _hover_bands(curves: Sequence[Curve], x: Axis, seen: str) -> str:
    """Invisible upright bands, each with the values at its place as a tooltip."""
    values: dict[float, list[str]] = {}
    for curve in curves:
        for at, value in curve.points:
            values.setdefault(at, []).append(f"{curve.name}: {compact(value)}")
    places = sorted(values)
    edges = [LEFT, *((x(a) + x(b)) / 2 for a, b in itertools.pairwise(places)), WIDTH - RIGHT]
    return "".join(
        f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}">'
        f"<title>{escape(f'after {at:,.0f} {seen}')}&#10;{escape(chr(10).join(values[at]))}</title></rect>"
        for at, left, right in zip(places, edges[:-1], edges[1:], strict=True)
    )


def _spoken(title: str, curves: Sequence[Curve]) -> str:
    """What the chart shows, for those who cannot see it."""
    ends = [f"{c.name} from {compact(c.points[0][1])} to {compact(c.points[-1][1])}" for c in curves if c.points]
    return f"{title}: {', '.join(ends)}"
