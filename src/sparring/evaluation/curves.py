"""Quality against variety over temperatures: the fair picture of a generator of texts, which no single number is.

A generator can trade one for the other by its temperature alone, so two of them compare by their whole curves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from sparring.data.sources import Progress
from sparring.errors import MetricError
from sparring.evaluation.label_places import along, placed
from sparring.evaluation.text_sides import MadeTexts
from sparring.training.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis
from sparring.wording import compact

if TYPE_CHECKING:
    from sparring.evaluation.texts import TextJudge

Point = Mapping[str, Any]
"""One temperature: `temperature`, `n`, and each metric by its name with `value`, `low`, `high`, `real`."""

Plane = Literal["bleu", "perplexity"]

COLOURS = 3
"""That style sheets know; further curves have the first ones again."""

MARGIN = 0.06
"""Share of the range that is left free around the points."""


def curve_of(
    judge: "TextJudge",
    sample: Callable[[int, float], list[str]],
    temperatures: Iterable[float],
    *,
    n: int = 1000,
    order: int = 3,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """BLEU, self-BLEU, forward and reverse perplexity and distinct texts of n samples at each temperature.

    sample: n texts at a temperature. Every number has its interval, and that of real texts as `real`.

    Raises: MetricError for another order than 2 to 5, or no temperatures.
    Source: Caccia et al. 2020, arXiv 1811.02549, section 3 (temperature sweeps).
    """
    if order not in range(2, 6):
        raise MetricError(f"order={order}: BLEU is from 2 to 5 here")
    points: list[dict[str, Any]] = []
    names = (f"bleu{order}", f"self_bleu{order}", "forward", "reverse", "distinct")
    wanted = list(temperatures)
    if not wanted:
        raise MetricError("no temperatures; name at least one, such as 1")
    for temperature in wanted:
        evaluation = judge(MadeTexts(sample(n, temperature), {}, made=True), names)
        numbers = {name: result.to_json() for name, result in evaluation.metrics.items()}
        points.append({"temperature": temperature, "n": n, **numbers})
        if progress:
            progress("temperatures", len(points), len(wanted))
    return points


Measured = tuple[Point, tuple[float, float, float], tuple[float, float, float]]
"""A point with the low end, value and high end of what is across and of what is up."""


def draw_curves(curves: Mapping[str, Sequence[Point]], plane: Plane = "bleu") -> str:
    """An SVG element with a line through each curve's temperatures, both ways lower is better; hovering shows numbers.

    plane: `bleu`, minus BLEU against self-BLEU; or `perplexity`, forward against reverse, logarithmic if wide. Bars are
    intervals of 95 %. The cross is what real texts get. Returns "" if there are no points.
    """
    all_points = [point for points in curves.values() for point in points]
    if not all_points:
        return ""
    log = plane == "perplexity"
    across, up, sign = ("reverse", "forward", 1) if log else (*_bleus(all_points[0]), -1)
    ends = [_ends(point[across], 1) for point in all_points], [_ends(point[up], sign) for point in all_points]
    real = all_points[0][across]["real"], sign * all_points[0][up]["real"]
    x = _axis([*sum(ends[0], ()), real[0]], LEFT, WIDTH - RIGHT, log)
    y = _axis([*sum(ends[1], ()), real[1]], HEIGHT - BOTTOM, TOP, log)
    measured = {name: [(p, _ends(p[across], 1), _ends(p[up], sign)) for p in points] for name, points in curves.items()}
    lines = [_drawn(name, number, points, x, y) for number, (name, points) in enumerate(measured.items()) if points]
    titles = {name: _title(name) for name in (across, up)}
    below = f"{'minus ' if sign < 0 else ''}{titles[up]}"
    spoken = f"{below} over {titles[across]} of {', '.join(curves)}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken)}">{_grid(x, y)}'
        f'<text class="label" x="{LEFT}" y="12">{escape(below)}</text>'
        f'<text class="label end" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}">{escape(titles[across])}</text>'
        f"{''.join(lines)}{_cross(x(real[0]), y(real[1]))}{_names(measured, real, x, y)}</svg>"
    )


def _bleus(point: Point) -> tuple[str, str]:
    self_bleu = next(name for name in point if name.startswith("self_bleu"))
    return self_bleu, self_bleu.removeprefix("self_")


def _title(name: str) -> str:
    if "bleu" in name:
        return f"{'self-' if name.startswith('self') else ''}BLEU-{name[-1]}"
    return f"{name} perplexity"


def _ends(number: Mapping[str, float | None], sign: int) -> tuple[float, float, float]:
    """Low end, value and high end of a number, or of minus it."""
    value = number["value"]
    assert value is not None, "only the ends of an interval may be unknown"
    low, high = (value if number[end] is None else number[end] for end in ("low", "high"))
    found = sorted((sign * float(low or 0.0), sign * value, sign * float(high or 0.0)))
    return found[0], found[1], found[2]


def _axis(values: Sequence[float], start: float, end: float, log: bool) -> Axis:
    low, high = min(values), max(values)
    if log and high >= 10 * low:
        room = (high / low) ** MARGIN * 1.01
        return Axis(low / room, high * room, start, end, log=True)
    room = MARGIN * (high - low) or 0.01
    return Axis(low - room, high + room, start, end)


def _ticks(axis: Axis) -> list[float]:
    return [tick for tick in axis.ticks() if axis.low <= tick <= axis.high]


def _grid(x: Axis, y: Axis) -> str:
    across = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{compact(tick)}</text>'
        for tick in _ticks(y)
    ]
    along = [
        f'<text class="middle" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 15}">{compact(tick)}</text>'
        for tick in _ticks(x)
    ]
    return "".join(across + along)


def _drawn(
    name: str,
    number: int,
    points: Sequence[Measured],
    x: Axis,
    y: Axis,
) -> str:
    colour = number % COLOURS
    path = " ".join(f"{x(across[1]):.1f},{y(up[1]):.1f}" for _, across, up in points)
    marks = []
    for point, across, up in points:
        at, height = x(across[1]), y(up[1])
        words = f"{name}, temperature {compact(point['temperature'])}: {compact(up[1])} at {compact(across[1])}"
        marks.append(
            f'<line class="line-{colour}" x1="{x(across[0]):.1f}" x2="{x(across[2]):.1f}" y1="{height:.1f}" '
            f'y2="{height:.1f}"/><line class="line-{colour}" x1="{at:.1f}" x2="{at:.1f}" y1="{y(up[0]):.1f}" '
            f'y2="{y(up[2]):.1f}"/><circle class="dot-{colour}" cx="{at:.1f}" cy="{height:.1f}" r="3">'
            f"<title>{escape(words)}</title></circle>"
        )
    return f'<polyline class="line-{colour}" points="{path}"/>{"".join(marks)}'


def _cross(at: float, height: float) -> str:
    return (
        f'<path class="grid" d="M{at - 5:.1f} {height:.1f}h10M{at:.1f} {height - 5:.1f}v10"><title>real texts</title>'
        "</path>"
    )


def _names(measured: Mapping[str, Sequence[Measured]], real: tuple[float, float], x: Axis, y: Axis) -> str:
    """The names of the curves, in their colours, and that of the cross."""
    cross = x(real[0]), y(real[1])
    ink = along([(cross[0] - 5, cross[1]), (cross[0] + 5, cross[1])])
    wanted, classes = [("real", [cross])], ["label"]
    for number, (name, points) in enumerate(measured.items()):
        if points:
            places = [(x(across[1]), y(up[1])) for _, across, up in points]
            wanted.append((name, places[::-1]))
            classes.append(f"label dot-{number % COLOURS}")
            ink += along(places)
            for _, across, up in points:
                ink += along([(x(across[0]), y(up[1])), (x(across[2]), y(up[1]))])
                ink += along([(x(across[1]), y(up[0])), (x(across[1]), y(up[2]))])
    labels = placed(wanted, ink, (LEFT + 2, TOP - 4, WIDTH - 2, HEIGHT - BOTTOM))
    return "".join(
        f'<text class="{kind}" x="{label.x:.1f}" y="{label.y:.1f}">{escape(label.name)}</text>'
        for label, kind in zip(labels, classes, strict=True)
    )
