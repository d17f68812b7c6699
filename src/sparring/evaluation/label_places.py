"""Where the names of curves stand in a drawing: near them, off what is drawn, and never on each other."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import east_asian_width

Place = tuple[float, float]
"""Pixels to the right and down."""

NARROW, WIDE = 6.8, 12.0
"""Pixels that a letter takes at 12 pixels a line, and one of Chinese, Japanese or Korean."""

ASCENT, DESCENT = 9.0, 3.0
"""Pixels above and below the line that letters stand on."""

GAP, ROWS = 6.0, 5
"""Pixels between a name and its point at least, and how many lines above or below it may stand."""

STRIDE = 2.0
"""Pixels between the points that stand for a line."""

ON_ANOTHER, OUTSIDE, ON_INK, FURTHER = 1e4, 1e3, 4.0, 0.25
"""What it costs to stand on another name or outside, on each point that is drawn, and a pixel further off."""


@dataclass(frozen=True)
class Label:
    """A name and where its line begins."""

    name: str
    x: float
    y: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Its left, upper, right and lower edge."""
        return self.x, self.y - ASCENT, self.x + width_of(self.name), self.y + DESCENT

    def overlaps(self, other: "Label") -> bool:
        """Whether the two stand on each other."""
        left, top, right, bottom = self.box
        their_left, their_top, their_right, their_bottom = other.box
        return left < their_right and their_left < right and top < their_bottom and their_top < bottom


def width_of(name: str) -> float:
    """About how many pixels a name takes."""
    return sum(WIDE if east_asian_width(letter) in "WF" else NARROW for letter in name)


def along(corners: Sequence[Place]) -> list[Place]:
    """Points every `STRIDE` pixels or closer on the line through the corners."""
    found = list(corners[:1])
    for (x, y), (to_x, to_y) in pairwise(corners):
        steps = max(1, math.ceil(math.hypot(to_x - x, to_y - y) / STRIDE))
        found += [(x + (to_x - x) * i / steps, y + (to_y - y) * i / steps) for i in range(1, steps + 1)]
    return found


def placed(
    wanted: Iterable[tuple[str, Sequence[Place]]],
    ink: Sequence[Place],
    room: tuple[float, float, float, float],
) -> list[Label]:
    """A place for each name, one after the other.

    wanted: names, each with the points that it may stand beside, the best first. ink: points of all that is drawn.
    room: the left, upper, right and lower edge.
    """
    found: list[Label] = []
    for name, points in wanted:
        costs = {
            label: _cost(label, found, ink, room) + distance * FURTHER for label, distance in _candidates(name, points)
        }
        found.append(min(costs, key=lambda label: costs[label]))
    return found


def _candidates(name: str, points: Sequence[Place]) -> Iterable[tuple[Label, float]]:
    """Beside, above and below the points, and how far from the first."""
    width, height = width_of(name), ASCENT + DESCENT
    middle = (ASCENT - DESCENT) / 2
    for x, y in points:
        off = math.hypot(x - points[0][0], y - points[0][1])
        for row in range(-ROWS, ROWS + 1):
            down = row * (height + GAP) / 2
            for left in (x + GAP, x - GAP - width, x - width / 2):
                label = Label(name, left, y + down + middle)
                yield label, off + abs(down) + abs(left + width / 2 - x) / 4


def _cost(
    label: Label, others: Sequence[Label], ink: Sequence[Place], room: tuple[float, float, float, float]
) -> float:
    left, top, right, bottom = label.box
    outside = max(room[0] - left, room[1] - top, right - room[2], bottom - room[3], 0.0)
    on_ink = sum(left - 2 < x < right + 2 and top - 1 < y < bottom + 1 for x, y in ink)
    return ON_ANOTHER * sum(label.overlaps(other) for other in others) + OUTSIDE * outside + ON_INK * on_ink
