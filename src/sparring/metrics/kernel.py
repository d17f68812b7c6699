"""Kernel distance between two sets of features: unbiased at any number of samples, from all of them.

Kernel values are computed in float64 and in blocks, so that memory stays bounded whatever the number of samples.
"""

import math
from dataclasses import dataclass, field

from torch import Tensor

from sparring.metrics.checks import Features, pair
from sparring.metrics.estimate import Estimate, distance_interval, t95

BLOCK = 1 << 23
"""Kernel values held at a time: 64 MiB."""


@dataclass(frozen=True)
class KernelEstimate(Estimate):
    """A kernel distance, its interval, and the standard error that the interval is made of."""

    standard_error: float = field(kw_only=True)


def kernel_distance(real: Features, fake: Features) -> KernelEstimate:
    """Squared maximum mean discrepancy of real (N, D) and generated samples (M, D); KID for Inception features.

    The kernel is (x.y / D + 1)^3. The value is the unbiased estimate from all pairs, where the convention is the mean
    over 100 random subsets of 1,000, which has the same expectation and more noise; it may come out below 0, the true
    distance cannot. The standard error is that of the two-sample jackknife, each sample left out in turn: it does not
    vanish where both sides are alike, and is not too small in expectation.

    Raises: MetricError as `checks.pair`, for fewer than 3 samples on a side.
    Source: Binkowski et al. 2018, section 4 (KID); Gretton et al. 2012, eq. 3 (the unbiased estimate); Efron & Stein
    1981 (the jackknife errs upwards).
    """
    first, second = pair(real, fake, "real", "generated", least=3)
    n, m = len(first), len(second)
    first_within, second_within = _sums_within(first), _sums_within(second)
    first_across, second_across = _sums_across(first, second)
    value = first_within.sum() / (n * (n - 1)) + second_within.sum() / (m * (m - 1)) - 2 * first_across.sum() / (n * m)
    variance = _jackknife_variance(first_within, first_across, m) + _jackknife_variance(second_within, second_across, n)
    error = math.sqrt(float(variance))
    interval = distance_interval(float(value), float(value), t95(min(n, m) - 1) * error)
    return KernelEstimate(interval.value, interval.low, interval.high, standard_error=error)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """(n, m)."""
    return ((a @ b.T).div_(a.shape[1]).add_(1)).pow_(3)


def _sums_within(samples: Tensor) -> Tensor:
    """Sum (n,) of each sample's kernel values with all others; each pair is computed once."""
    sums = samples.new_zeros(len(samples))
    rows = max(1, BLOCK // len(samples))
    for start in range(0, len(samples), rows):
        stop = min(start + rows, len(samples))
        values = _kernel(samples[start:stop], samples[start:])
        values.diagonal().zero_()
        sums[start:stop] += values.sum(1)
        sums[stop:] += values[:, stop - start :].sum(0)
    return sums


def _sums_across(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of each sample's kernel values with all samples of the other side (n,), (m,)."""
    a_sums, b_sums = a.new_zeros(len(a)), b.new_zeros(len(b))
    rows = max(1, BLOCK // len(b))
    for start in range(0, len(a), rows):
        values = _kernel(a[start : start + rows], b)
        a_sums[start : start + rows] = values.sum(1)
        b_sums += values.sum(0)
    return a_sums, b_sums


def _jackknife_variance(within: Tensor, across: Tensor, others: int) -> Tensor:
    """Of the distance, from leaving out each of the n samples whose sums (n,) are given; `others`: the other side's."""
    n = len(within)
    within_left = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    across_left = (across.sum() - across) / ((n - 1) * others)
    left_out = within_left - 2 * across_left
    return (n - 1) * left_out.var(correction=0)
