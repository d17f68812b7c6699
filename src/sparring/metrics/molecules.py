"""What sets of molecules are compared by, as functions of bits, counts and numbers: formulas as in MOSES.

Source of all: Polykovskiy et al. 2020 (MOSES), arXiv 1811.12823, section 3, and its code, which decides where both
differ. None of them knows of chemistry: bits, parts and properties come from `sparring.chemistry`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.estimate import Z95, Estimate, distance_interval, mean_of, normal

PANEL = 1 << 24
"""Similarities held at a time: 64 MiB in float32."""

Bits = Tensor | NDArray[np.uint8]
"""Fingerprints (N, bits), 0 or 1."""


def nearest_similarity(real: Bits, fake: Bits, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Tanimoto similarity float32 (M,) of each generated molecule to the nearest real one, and which that is, int64.

    Raises: MetricError for an empty side or other numbers of bits.
    """
    similarity, place = torch.zeros(len(fake)), torch.zeros(len(fake), dtype=torch.int64)
    for start, stop, rows in similarities(fake, real, device):
        best, where = rows.max(1)
        similarity[start:stop], place[start:stop] = best.cpu(), where.cpu()
    return similarity, place


def snn(real: Bits, fake: Bits, device: str = "cpu") -> Estimate:
    """Mean similarity of generated molecules to their nearest real one, 0 to 1; the interval is over the generated.

    Raises: MetricError as `nearest_similarity`.
    """
    return mean_of(nearest_similarity(real, fake, device)[0].double().tolist(), least=0, most=1)


def internal_diversity(fake: Bits, power: int = 1, device: str = "cpu") -> Estimate:
    """1 minus the mean over molecules of (mean over all, T^p)^(1/p), T the Tanimoto similarity; 0 (all alike) to 1.

    A molecule counts among those it is compared with, as in MOSES. Its paper takes the root of the whole mean, its code
    one for each molecule; this is the code's, which its tables were made by. For p = 1 both are the same. The interval
    is that of the mean of pairs to first order: each molecule is in two means, its own and those of the others.

    Raises: MetricError for no molecules.
    """
    means = torch.zeros(len(fake), dtype=torch.float64)
    for start, stop, rows in similarities(fake, fake, device):
        means[start:stop] = rows.double().pow(power).mean(1).cpu()
    roots = means.pow(1 / power)
    error = 2 * float(roots.std(correction=0)) / math.sqrt(len(roots))
    return normal(1 - float(roots.mean()), error, least=0, most=1)


def similarities(rows: Bits, columns: Bits, device: str = "cpu") -> Iterator[tuple[int, int, Tensor]]:
    """Tanimoto similarities float32 (n, N) of the rows from `start` to `stop`; 1 where both have no bit, as in MOSES.

    Raises: MetricError for an empty side or other numbers of bits.
    """
    if not len(rows) or not len(columns):
        raise MetricError("no molecules; at least one is needed on each side")
    if rows.shape[1] != columns.shape[1]:
        raise MetricError(f"fingerprints of {rows.shape[1]} and {columns.shape[1]} bits; both need the same number")
    # Whole numbers below 2^24: float32 counts them exactly, and its products are the fastest.
    right = torch.as_tensor(columns).to(device, torch.float32)
    ones = right.sum(1)
    size = max(1, PANEL // len(right))
    for start in range(0, len(rows), size):
        left = torch.as_tensor(rows[start : start + size]).to(device, torch.float32)
        shared = left @ right.T
        either = left.sum(1)[:, None] + ones - shared
        yield start, start + len(left), torch.where(either > 0, shared / either.clamp(min=1), 1.0)


def cosine_of_parts(real: Sequence[Sequence[str]], fake: Sequence[Sequence[str]]) -> Estimate:
    """Cosine between how often each part occurs among real and among generated molecules, 0 to 1 (alike).

    real, fake: the parts of each molecule: fragments, or its scaffold (or none). The interval is to first order in what
    each molecule adds to the counts (delta method).

    Raises: MetricError if a side has no part at all.
    """
    numbers: dict[str, int] = {}
    for parts in (*real, *fake):
        for part in parts:
            numbers.setdefault(part, len(numbers))
    ours, theirs = (np.zeros(len(numbers)) for _ in range(2))
    for counts, molecules in ((ours, real), (theirs, fake)):
        for part, count in Counter(part for parts in molecules for part in parts).items():
            counts[numbers[part]] = count
    lengths = np.linalg.norm(ours), np.linalg.norm(theirs)
    if not all(lengths):
        raise MetricError("one side has no such part, so that there is nothing to compare")
    ours, theirs = ours / lengths[0], theirs / lengths[1]
    value = float(ours @ theirs)
    variance = 0.0
    for direction, other, length, molecules in (
        (theirs, ours, lengths[1], fake),
        (ours, theirs, lengths[0], real),
    ):
        # A molecule with counts c moves the cosine by (other - cosine direction) . c / length; the sum of all is 0.
        slope = (other - value * direction) / length
        moved = [sum(slope[numbers[part]] for part in parts) for parts in molecules]
        variance += float(np.square(moved).sum())
    return normal(min(value, 1.0), math.sqrt(variance), least=0, most=1)


def wasserstein(real: NDArray[np.float64], fake: NDArray[np.float64]) -> Estimate:
    """1-Wasserstein distance of two sets of numbers, the area between their distribution functions, in their units.

    The interval is to first order: a number x moves the distance by the potential that rises by 1 where one function is
    above the other and falls by 1 where it is below (Kantorovich duality). The area of samples is too large by
    what chance adds where the functions are close: where they are within two of its deviations, so much goes off below.

    Raises: MetricError for fewer than two numbers on a side, NaN or infinity.
    """
    for name, side in (("real", real), ("generated", fake)):
        if len(side) < 2 or not np.isfinite(side).all():
            raise MetricError(f"{len(side)} {name} values; at least 2 are needed, and all must be finite")
    everything = np.sort(np.concatenate([real, fake]))
    steps = np.diff(everything)
    ours, theirs = (np.searchsorted(np.sort(side), everything[:-1], "right") / len(side) for side in (real, fake))
    value = float((np.abs(ours - theirs) * steps).sum())
    potential = np.concatenate([[0.0], np.cumsum(np.sign(ours - theirs) * steps)])
    variance = 0.0
    for side in (real, fake):
        heights = potential[np.searchsorted(everything, side)]
        variance += float(heights.var(ddof=1)) / len(side)
    both = np.arange(1, len(everything)) / len(everything)
    deviation = np.sqrt(both * (1 - both) * (1 / len(real) + 1 / len(fake)))
    by_chance = math.sqrt(2 / math.pi) * deviation * (np.abs(ours - theirs) < 2 * deviation)
    return distance_interval(value, value, Z95 * math.sqrt(variance), below=float((by_chance * steps).sum()))


def uniqueness(canonical: Sequence[str], first: int | None = None) -> float:
    """Share of different ones among the first so many valid molecules, all if None.

    Raises: MetricError if there are none.
    """
    looked = canonical[:first]
    if not looked:
        raise MetricError("no valid molecule was generated")
    return len(set(looked)) / len(looked)


def novelty(training: frozenset[str], canonical: Sequence[str]) -> float:
    """Share of the different valid molecules that are not in the training set.

    Raises: MetricError if there are none.
    """
    made = set(canonical)
    if not made:
        raise MetricError("no valid molecule was generated")
    return len(made - training) / len(made)
