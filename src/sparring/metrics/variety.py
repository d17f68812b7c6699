"""How varied samples are: distances between pairs of them."""

import math

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, pair, rows
from sparring.metrics.estimate import Z95, Estimate, normal

PANEL = 1 << 20
"""Distances held at a time: 8 MiB in float64."""


def pairwise_distance(features: Features, *, name: str = "generated") -> Estimate:
    """Mean Euclidean distance between two different samples of (N, D), in the units of the features; at least 0.

    The interval is that of the exact jackknife of this U-statistic, from each sample's mean distance to the others.

    Raises: MetricError for fewer than three samples, NaN or infinity; it calls them `name`.
    Source: Hoeffding 1948 (U-statistics); Arvesen 1969 (their jackknife).
    """
    value, error = _mean_distance(rows(features, name, least=3))
    return normal(value, error, least=0.0)


def diversity(real: Features, fake: Features) -> Estimate:
    """Mean distance between generated samples (M, D), over that between real samples (N, D).

    1: as varied as real; 0: all the same. The interval is normal on the scale of logarithms (delta method), where a
    ratio is nearer to normal. The mean distance sees spread, not detail: one that is right says little about modes.

    Raises: MetricError for fewer than three samples on a side, real ones that are all the same, other numbers of
    features, NaN or infinity.
    """
    real, fake = pair(real, fake, "real", "generated", least=3)
    real_mean, real_error = _mean_distance(real)
    fake_mean, fake_error = _mean_distance(fake)
    if not real_mean:
        raise MetricError("all real samples are the same; variety has no scale")
    ratio = fake_mean / real_mean
    half = Z95 * math.hypot(real_error / real_mean, fake_error / fake_mean) if ratio else 0.0
    return Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half))


def _mean_distance(points: Tensor) -> tuple[float, float]:
    """Mean distance of pairs, and its standard error."""
    count = len(points)
    if (points == points[0]).all():
        return 0.0, 0.0
    # The mean does not need the differences of near pairs to the last digit; centred, expanded squares keep 7 at least.
    centred = points - points.mean(0)
    squares = centred.square().sum(1)
    sums = []
    for part in torch.split(torch.arange(count, device=points.device), max(1, PANEL // count)):
        squared = torch.addmm(squares[part, None] + squares, centred[part], centred.T, alpha=-2)
        squared[torch.arange(len(part), device=points.device), part] = 0
        sums.append(squared.clamp_(min=0).sqrt_().sum(1))
    total = torch.cat(sums)
    value = float(total.sum()) / (count * (count - 1))
    # Without sample i: (T - 2 t_i) / ((N - 1)(N - 2)), T the sum of all t.
    without = (total.sum() - 2 * total) / ((count - 1) * (count - 2))
    return value, math.sqrt(float(without.var(correction=0)) * (count - 1))
