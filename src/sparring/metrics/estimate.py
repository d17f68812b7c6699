"""A number with the interval it comes in."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
"""Standard errors on each side of a normal estimate that make an interval of 95 %."""


@dataclass(frozen=True)
class Estimate:
    """What was measured, and an interval around it that holds the true value in about 95 of 100 cases.

    The true value is that of endless samples; of metrics that depend on the number of samples by their nature (those of
    the k-th neighbour), it is what other draws of as many would give on average. low <= value <= high; both are None
    where the interval cannot be known, as with moments alone.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Where the interval begins and ends; both are the value where it is not known."""
        return (self.value if self.low is None else self.low), (self.value if self.high is None else self.high)


def normal(value: float, error: float, *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """value +- 1.96 standard errors, cut off at `least` and `most`."""
    return Estimate(value, min(value, max(value - Z95 * error, least)), max(value, min(value + Z95 * error, most)))


def mean_of(values: Sequence[float], *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """The mean of independent numbers by Student's t; without an interval if there is but one. Cut off as `normal`."""
    if len(values) < 2:
        return Estimate(values[0])
    mean = statistics.fmean(values)
    error = t95(len(values) - 1) / Z95 * statistics.stdev(values, mean) / math.sqrt(len(values))
    return normal(mean, error, least=least, most=most)


def share(value: float, count: float) -> Estimate:
    """A share of `count` independent samples, 0 to 1, with an interval that has a width even where all samples agree.

    Source: Wilson 1927.
    """
    centre = (value + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    half = Z95 / (1 + Z95**2 / count) * math.sqrt(value * (1 - value) / count + Z95**2 / (4 * count**2))
    return Estimate(value, max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def distance_interval(value: float, centre: float, margin: float, *, below: float = 0, above: float = 0) -> Estimate:
    """centre +- margin, and what is added below and above; holds the value, and keeps to 0 or more.

    Upwards the margin is what it is on a logarithmic scale, to third order, as the variances that a distance is made
    of scatter by factors; at most two thirds more.
    """
    share = margin / max(centre, margin) if margin else 0.0
    upwards = margin * (1 + share / 2 + share**2 / 6)
    low, high = max(0.0, centre - margin - below), max(0.0, centre + upwards + above)
    return Estimate(value, min(value, low), max(value, high))


def t95(freedom: float) -> float:
    """97.5 % quantile of Student's t: what `Z95` is for few samples; to 1 % from 5 degrees of freedom on, to 4 % below.

    Source: Fisher & Cornish 1960 (expansion in 1 / freedom); of 1 and 2 degrees in closed form.
    """
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z = Z95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
