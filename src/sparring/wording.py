"""Numbers and texts as people read them, on the terminal and in the report."""

import math


def duration(seconds: float) -> str:
    """`45 s`, `1 min 58 s`, `2 h 5 min`, `3 days 4 h`; the two largest units."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} day{'s' * (days > 1)} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """A time that is expected: `about 45 s`, `less than a second`."""
    return f"about {duration(seconds)}" if seconds >= 0.5 else "less than a second"


def share(value: float) -> str:
    """A share of 1 in per cent: `98 %`; with a decimal below 10 %, so that `0.4 %` is not nothing."""
    percent = 100 * value
    if 0 < percent < 0.05:
        return "<0.1 %"
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"


def compact(value: float) -> str:
    """At most five characters or so: `0.52`, `12k`, `2.5M`, `2e-4`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if size < 0.01:
        return f"{value:.1e}".replace("e-0", "e-").replace(".0e", "e")
    value = float(f"{value:.3g}")  # 999.9 is 1k
    size = abs(value)
    if size >= 1e15:
        return f"{value:.1e}".replace("e+", "e")
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def printable(text: str) -> str:
    """The text with control characters written out, so that a file's name cannot steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


THINGS = {
    "text": ("texts", "text", "texts"),
    "molecules": ("molecules", "molecule", "molecules"),
    "video": ("clips", "clip", "clips"),
}
"""By task, where it is not pictures: what a run learns from, one of it, and what it has seen many of."""


def counted(number: int, many: str, one: str) -> str:
    """`1 picture`, `1,797 pictures`."""
    return f"{number:,} {one if number == 1 else many}"


def things(task: str) -> tuple[str, str, str]:
    """What a run learns from, one of it, and what it has seen many of: `pictures`, `picture`, `images`."""
    return THINGS.get(task, ("pictures", "picture", "images"))
