"""Curves of quality against variety, one for each seed and arm: brought to one range, compared, drawn and printed."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from sparring.evaluation.curves import draw_curves

FURTHER, COOLEST, HOTTEST = 0.1, 0.1, 2.0
"""Steps in which a curve is followed to where the other one is, and how far."""

NUMBERS = ("bleu3", "self_bleu3", "forward", "reverse", "distinct")
STYLE = (
    "svg{font:12px system-ui,sans-serif;background:#fff} text{fill:#566173} .end{text-anchor:end}"
    ".middle{text-anchor:middle} .grid{stroke:#dde2e9} polyline{fill:none;stroke-width:2}"
    ".line-0{stroke:#1f5fbf} .line-1{stroke:#c2410c} .line-2{stroke:#0f766e}"
    ".dot-0{fill:#1f5fbf} .dot-1{fill:#c2410c} .dot-2{fill:#0f766e}"
)
Curves = dict[str, list[dict[str, Any]]]
"""Points as `sparring.evaluation.curves` makes them, by arm."""


def followed(points: list[Any], least: float, most: float, point: Callable[[float], Any]) -> list[Any]:
    """A curve that reaches from one self-BLEU-3 to another, or as far as temperatures go, in their order."""
    points = sorted(points, key=lambda each: each["temperature"])
    while max(map(variety, points)) < most and points[0]["temperature"] - FURTHER >= COOLEST - 1e-9:
        points.insert(0, point(round(points[0]["temperature"] - FURTHER, 6)))
    while min(map(variety, points)) > least and points[-1]["temperature"] + FURTHER <= HOTTEST + 1e-9:
        points.append(point(round(points[-1]["temperature"] + FURTHER, 6)))
    return points


def variety(point: Mapping[str, Any]) -> float:
    return float(point["self_bleu3"]["value"])


def differences(curves: Mapping[str, Curves], arm: str, temperatures: Sequence[float]) -> dict[str, Any]:
    """(i) and (ii) of an arm against `before`, over seeds."""
    at_equal = {
        temperature: over_seeds([_at_equal(each["before"], each[arm], temperature) for each in curves.values()])
        for temperature in temperatures
    }
    reverse = [
        of(each[arm], 1.0)["reverse"]["value"] - of(each["before"], 1.0)["reverse"]["value"] for each in curves.values()
    ]
    of_reverse = over_seeds(reverse)
    highs, high = [found["high"] for found in at_equal.values()], of_reverse["high"]
    return {
        "bleu3_at_equal_self_bleu3": at_equal,
        "not_worse": None if None in highs else all(end >= 0 for end in highs),
        "reverse_at_1": of_reverse,
        "better": None if high is None else high < 0,
    }


def _at_equal(before: Sequence[Any], other: Sequence[Any], temperature: float) -> float:
    """BLEU-3 of the other curve less that of `before`, at the self-BLEU-3 of this; nan where the other has no such."""
    here = of(before, temperature)
    along = sorted((variety(point), float(point["bleu3"]["value"])) for point in other)
    across, up = np.array(along).T
    return float(np.interp(variety(here), across, up, left=math.nan, right=math.nan)) - float(here["bleu3"]["value"])


def of(points: Sequence[Any], temperature: float) -> Any:
    return next(point for point in points if math.isclose(point["temperature"], temperature))


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean and Student's interval of 95 %; None where they are not known."""
    if not all(map(math.isfinite, values)):
        return {"value": None, "low": None, "high": None, "of_each_seed": list(map(known_or_none, values))}
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return {"value": mean, "low": None, "high": None, "of_each_seed": list(values)}
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / count**0.5
    return {"value": mean, "low": mean - half, "high": mean + half, "of_each_seed": list(values)}


def known_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def pooled(curves: Mapping[str, Curves]) -> Curves:
    """The mean curve of each arm over seeds, at temperatures that all have; of one seed it is as it was."""
    seeds = list(curves.values())
    if len(seeds) == 1:
        return seeds[0]
    found: Curves = {}
    for arm in seeds[0]:
        shared = set.intersection(*({point["temperature"] for point in each[arm]} for each in seeds))
        found[arm] = []
        for temperature in sorted(shared):
            points = [of(each[arm], temperature) for each in seeds]
            numbers = {
                name: over_seeds([point[name]["value"] for point in points]) | {"real": points[0][name].get("real")}
                for name in NUMBERS
            }
            found[arm].append({"temperature": temperature, **numbers})
    return found


def standalone(curves: Curves) -> str:
    """The drawing as a file of its own."""
    drawn = draw_curves(curves).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return drawn.replace(">", f"><style>{STYLE}</style>", 1) + "\n"


def show(found: Mapping[str, Any], temperatures: Sequence[float]) -> None:
    mean = pooled(found["curves"])
    seeds = ", ".join(found["curves"])
    print(f"{found['data']}: {found['learned_from']:,} texts to learn from, {found['judged_by']:,} to judge by")
    print(f"means over seeds {seeds}, {found['n']:,} texts each; a star: beyond the sweep")
    print(f"{'arm':12} {'T':>5} {'BLEU-3':>8} {'self':>8} {'forward':>9} {'reverse':>9} {'distinct':>9}")
    print(f"{'real':12} {'':5} " + " ".join(cells({name: mean["before"][0][name]["real"] for name in NUMBERS})))
    for arm, points in mean.items():
        for point in points:
            beyond = "" if any(math.isclose(point["temperature"], each) for each in temperatures) else "*"
            numbers = {name: point[name]["value"] for name in NUMBERS}
            print(f"{arm:12} {point['temperature']:4g}{beyond:1} " + " ".join(cells(numbers)))
    for arm, judged in found["differences"].items():
        print(f"{arm} less before, BLEU-3 at equal self-BLEU-3: not worse: {judged['not_worse']}")
        for temperature, each in judged["bleu3_at_equal_self_bleu3"].items():
            print(f"  {temperature:4g}  {interval(each, '+.4f')}")
        print(f"{arm} less before, reverse perplexity at 1: better: {judged['better']}")
        print(f"        {interval(judged['reverse_at_1'], '+.2f')}")
    if unchanged := found["seeds_whose_game_gave_no_better_generator"]:
        print(f"no generator of the game was better than the start with seed {', '.join(map(str, unchanged))}")


def cells(numbers: Mapping[str, float | None]) -> list[str]:
    widths = {"bleu3": "8.4f", "self_bleu3": "8.4f", "forward": "9.2f", "reverse": "9.2f", "distinct": "9.3f"}
    return [
        "-".rjust(int(widths[name][0])) if value is None else f"{value:{widths[name]}}"
        for name, value in numbers.items()
    ]


def interval(found: Mapping[str, Any], form: str) -> str:
    if found["value"] is None:
        return "not to be compared: one curve does not reach the other"
    ends = "" if found["low"] is None else f"  [{found['low']:{form}}, {found['high']:{form}}]"
    return f"{found['value']:{form}}{ends}"
