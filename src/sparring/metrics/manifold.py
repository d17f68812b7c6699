"""What nearest neighbours tell about two sets of samples: fidelity and variety.

Every comparison of distances comes out as plain float64 has it, at about the cost of float32. The expanded squares
|a|^2 + |b|^2 - 2 a.b are taken in float32 of centred points, with a bound on their rounding that holds for any order of
summation (Higham 2002, eq. 3.4). What the bound leaves open, a pair in ten thousand, is decided by the float64 distance
of the differences. Panels of rows bound the memory whatever the number of samples; the products inside run on all cores
(BLAS) or on the GPU, if that is where the first argument is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, pair, rows
from sparring.metrics.estimate import Z95, Estimate, share

PANEL = 1 << 24
"""Distances held at a time: 64 MiB in float32. Products of thin panels are slower, and so is what is done to each."""

CACHED = 1 << 20
"""Features gathered at a time, 8 MiB: little enough to be read again from the cache."""

SPARE = 4
"""Neighbours kept beyond those asked for, so that the order of float64 is almost surely among them."""

MARGIN = 1e-9
"""Relative difference of squared distances above which their order is taken as certain; float64 is off by 1e-12."""


@dataclass(frozen=True)
class Manifold:
    """How far two sets of samples cover each other, from their k nearest neighbours.

    precision: share of generated samples inside the estimated manifold of the real ones, 0 to 1.
    recall: share of real samples inside the estimated manifold of the generated ones, 0 to 1.
    density: how densely real samples surround the generated ones; 1 is expected if both are alike; may exceed 1.
    coverage: share of real samples with a generated one among their neighbours, 0 to 1.
    """

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class ManifoldEstimates:
    """The four numbers of `Manifold`, each with the interval of what other draws of as many samples would give."""

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def precision_recall_density_coverage(real: Features, fake: Features, k: int = 5) -> Manifold:
    """The values of `manifold_estimates`, without their intervals."""
    estimates = manifold_estimates(real, fake, k)
    return Manifold(
        precision=estimates.precision.value,
        recall=estimates.recall.value,
        density=estimates.density.value,
        coverage=estimates.coverage.value,
    )


def manifold_estimates(real: Features, fake: Features, k: int = 5) -> ManifoldEstimates:
    """Compares real (N, D) with generated samples (M, D) by balls that reach to each sample's k-th neighbour.

    A sample is not its own neighbour. A point on the edge of a ball is outside (strict <).

    The standard errors are those of the exact jackknife: each number is taken anew without each sample of both sides.
    That costs no new distances, because leaving out a sample removes its ball, and lets the balls that it is one of the
    k neighbours of grow to their next neighbour. All four numbers depend on N, M and k; the intervals are about what
    they are on average for these, not for endless samples. Compare only numbers at the same N, M and k.

    Raises: MetricError for fewer than k + 1 samples on a side, other numbers of features, NaN or infinity.
    Source: Kynkaanniemi et al. 2019, eq. 1-2 (precision, recall); Naeem et al. 2020, eq. 3-4 (density, coverage);
    Efron & Stein 1981 (jackknife).
    """
    real, fake = pair(real, fake, "real", "generated")
    for name, samples in (("real", real), ("generated", fake)):
        if len(samples) <= k:
            raise MetricError(f"{len(samples)} {name} samples; {k} nearest neighbours need at least {k + 1}")
    real_rough, fake_rough = _roughen(torch.float32, real, fake)
    real_balls, fake_balls = _Balls.around(real, real_rough, k), _Balls.around(fake, fake_rough, k)
    among_real, among_fake = _members(real, fake, real_rough, fake_rough, real_balls, fake_balls)

    n, m = len(real), len(fake)
    less_real, less_fake = among_real.without_balls(real_balls.near), among_real.without_points()
    recalled_less_real, recalled_less_fake = among_fake.without_points(), among_fake.without_balls(fake_balls.near)
    # Samples next to each other share their balls, so that fewer are independent than there are.
    worth = min(n, m) / 2
    precision = _share(among_real.covered / m, less_real.covered / m, less_fake.covered / (m - 1), worth)
    recall = _share(among_fake.covered / n, recalled_less_real.covered / (n - 1), recalled_less_fake.covered / n, worth)
    coverage = _share(among_real.populated / n, less_real.populated / (n - 1), less_fake.populated / n, worth)
    density = among_real.memberships / (k * m)
    error = _error(less_real.memberships / (k * m), less_fake.memberships / (k * (m - 1)))
    # Normal on the scale of logarithms, since a few real samples that are near to most make density skew. Without a
    # single membership nothing varies; then the share of samples inside tells what could have been missed.
    half = math.exp(Z95 * error / density) if density else 1.0
    dense = Estimate(density, density / half, density * half if density else precision.high)
    return ManifoldEstimates(precision, recall, dense, coverage)


def nearest(queries: Features, references: Features) -> tuple[Tensor, Tensor]:
    """Distance (Q,) from each query (Q, D) to the nearest reference (R, D), and that reference's index, int64 (Q,).

    Raises: MetricError for no references, other numbers of features, NaN or infinity.
    """
    distance, index = neighbours(queries, references, 1)
    return distance[:, 0], index[:, 0]


def neighbours(queries: Features, references: Features, count: int) -> tuple[Tensor, Tensor]:
    """Distances float64 (Q, count) to the nearest references, nearest first, and their indices, int64 (Q, count).

    A query that is among the references is at distance 0 exactly.

    Raises: MetricError for fewer than `count` references, other numbers of features, NaN or infinity.
    """
    queries, references = pair(queries, references, "query", "reference", least=0)
    if len(references) < count:
        raise MetricError(f"{len(references)} reference samples; {count} nearest need at least as many")
    return _search(queries, references, count)


def other_neighbours(points: Features, count: int, *, name: str = "real") -> tuple[Tensor, Tensor]:
    """Distances float64 (N, count) from each point (N, D) to its nearest others, nearest first, and their indices.

    Raises: MetricError for fewer than `count` + 1 points, NaN or infinity; it calls them `name`.
    """
    points = rows(points, name, least=count + 1)
    return _search(points, points, count, themselves=True)


# Distances


@dataclass(frozen=True)
class _Rough:
    """Centred points (N, D), of norm at most 1, whose products give squared distances within a known error.

    For points i and j of two of these, low_i + low_j - 2 (points_i . points_j), as computed, is at most the squared
    distance times scale^2, which is at most that plus slack_i + slack_j.
    """

    points: Tensor
    low: Tensor
    slack: Tensor
    scale: float


def _roughen(dtype: torch.dtype, *sets: Tensor) -> list[_Rough]:
    """All in the same frame: moved by -centre, and scaled by a power of two, which is exact."""
    centre = torch.stack([points.mean(0) for points in sets]).mean(0)
    parts = max(1, PANEL // 8 // len(centre))
    squares = [torch.cat([(p - centre).square_().sum(1) for p in torch.split(points, parts)]) for points in sets]
    longest = math.sqrt(max(float(each.max()) for each in squares))
    scale = 2.0 ** -math.ceil(math.log2(longest)) if longest else 1.0
    # A sum of n products is off by n u / (1 - n u) of the sum of their sizes at most, whatever the order; 2 |a| |b| is
    # at most |a|^2 + |b|^2. The rest is for rounding the points and the sums, and for what underflows.
    terms, unit = len(centre) + 2, torch.finfo(dtype).eps / 2
    rounding = terms * unit / (1 - terms * unit) + terms * torch.finfo(torch.float64).eps + 8 * unit
    roughened = []
    for points, squared in zip(sets, squares, strict=True):
        rough = torch.empty(points.shape, dtype=dtype, device=points.device)
        for part, target in zip(torch.split(points, parts), torch.split(rough, parts), strict=True):
            target.copy_((part - centre).mul_(scale))
        squared = squared * scale**2
        error = rounding * squared + 1e-30
        roughened.append(_Rough(rough, (squared - error).to(dtype), 2 * error, scale))
    return roughened


def _panels(a: _Rough, b: _Rough, *, upper: bool = False) -> Iterator[tuple[int, Tensor]]:
    """Rows of the matrix of lower bounds, as (first row, panel (rows, M)); a panel lasts until the next.

    upper: only the columns from the first row on, enough for distances within one set; in lower panels, since what
    lies before the diagonal within each is computed twice.
    """
    buffers = a.low.new_empty(2, max(min(PANEL, len(a.points) * len(b.points)), len(b.points)))
    height = max(1, PANEL // len(b.points) // (2 if upper else 1))
    for start in range(0, len(a.points), height):
        first = start if upper else 0
        columns = len(b.points) - first
        part = a.points[start : start + height]
        low, products = buffers[:, : len(part) * columns].view(2, len(part), columns)
        torch.add(a.low[start : start + len(part), None], b.low[first:], out=low)
        _multiply(part, b.points[first:], products)
        yield start, low.sub_(products, alpha=2)


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """a @ b.T in the precision of their type, whatever a caller allows for training: TF32 and bfloat16 break the bound.

    NumPy's BLAS knows no other precision, and often is the faster one on processors.
    """
    if a.device.type == "cpu":
        np.matmul(a.numpy(), b.numpy().T, out=out.numpy())
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(a.device.type, enabled=False):
            torch.mm(a, b.T, out=out)
    finally:
        torch.set_float32_matmul_precision(before)


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns (n,) where a mask (N, M) holds, in order. NumPy looks for few among many the fastest."""
    if mask.device.type == "cpu":
        flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
        return flat // mask.shape[1], flat % mask.shape[1]
    row, column = mask.nonzero().unbind(1)
    return row, column


def _apart(a: Tensor, b: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Distances |a_i - b_j| (P, C) from differences, the same to the last bit as |b_j - a_i|; i: (P,), j: (P, C)."""
    # Into place: small results kept between large temporary ones would keep their memory from being used again.
    distance = a.new_empty(j.shape)
    for part in torch.split(torch.arange(len(i), device=a.device), max(1, CACHED // (a.shape[1] * j.shape[1]))):
        distance[part] = _direct(a[i[part]][:, None], b[j[part]])[:, 0]
    return distance


def _direct(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _search(
    queries: Tensor, references: Tensor, count: int, *, themselves: bool = False, rough: _Rough | None = None
) -> tuple[Tensor, Tensor]:
    """Float64 distances (Q, count) to the nearest references, and their indices.

    themselves: both are the same points, none of which is its own neighbour. rough: these in float32, if known.

    First with products in float32; what that leaves open (all points of a collapsed generator, say) with products in
    float64; what that leaves open, directly.
    """
    distance = queries.new_empty(len(queries), count)
    index = torch.empty(len(queries), count, dtype=torch.int64, device=queries.device)
    if not len(queries) or not count:
        return distance, index
    keep = min(count + SPARE, len(references) - themselves)
    left = torch.arange(len(queries), device=queries.device)
    for dtype in (torch.float32, torch.float64):
        whole = len(left) == len(queries)
        if themselves and whole:
            if rough is None or rough.points.dtype != dtype:
                (rough,) = _roughen(dtype, references)
            scale, (low, found) = rough.scale, _closest_others(rough, keep)
        else:
            a, b = _roughen(dtype, queries if whole else queries[left], references)
            scale, (low, found) = b.scale, _closest(a, b, keep, left if themselves else None)
        # The first few mostly do, and reading far points costs most.
        for most in (min(count + 2, keep), keep):
            exact, order = _apart(queries, references, left, found[:, :most]).sort(dim=1, stable=True)
            distance[left], index[left] = exact[:, :count], found.gather(1, order)[:, :count]
            # All that was left out is at least as far as the first of them by `low`; and nothing is nearer than 0.
            next_ = low[:, most].double() if most < keep else low[:, -1].double()
            furthest = exact[:, count - 1]
            certain = (next_ > (furthest * scale).square() * (1 + MARGIN)) | (furthest == 0)
            if most == len(references) - themselves:
                return distance, index
            left, low, found = left[~certain], low[~certain], found[~certain]
            if not len(left):
                return distance, index
    for some in torch.split(left, max(1, PANEL // len(references))):
        far = _direct(queries[some], references)
        if themselves:
            far[torch.arange(len(some), device=far.device), some] = torch.inf
        distance[some], index[some] = far.topk(count, largest=False)
    return distance, index


def _closest(a: _Rough, b: _Rough, keep: int, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """The `keep` smallest lower bounds (N, keep) of each row, smallest first, and their columns; not `own` (N,)."""
    values, columns = [], []
    for start, low in _panels(a, b):
        if own is not None:
            low[torch.arange(len(low), device=low.device), own[start : start + len(low)]] = torch.inf
        smallest = low.topk(keep, largest=False)
        values.append(smallest.values)
        columns.append(smallest.indices)
    return torch.cat(values), torch.cat(columns)


def _closest_others(rough: _Rough, keep: int) -> tuple[Tensor, Tensor]:
    """`_closest` of points among themselves, each pair computed once and used for both."""
    points = len(rough.points)
    best = torch.full((points, keep), torch.inf, dtype=rough.points.dtype, device=rough.points.device)
    found = torch.zeros(points, keep, dtype=torch.int64, device=best.device)

    def merge(at: slice | Tensor, low: Tensor, sources: Tensor) -> None:
        both, whence = torch.cat([best[at], low], 1), torch.cat([found[at], sources], 1)
        best[at], order = both.topk(keep, largest=False)
        found[at] = whence.gather(1, order)

    for start, low in _panels(rough, rough, upper=True):
        low.diagonal().fill_(torch.inf)
        stop = start + len(low)
        smallest = low.topk(min(keep, low.shape[1]), largest=False)
        merge(slice(start, stop), smallest.values, smallest.indices + start)
        rest = low[:, len(low) :]
        if start == 0:
            smallest = rest.T.topk(min(keep, len(rest)), largest=False)
            merge(slice(stop, points), smallest.values, smallest.indices)
        elif rest.numel():
            # The more points were seen before, the fewer values are among the smallest of their column.
            row, column = _places(rest < best[stop:, -1])
            merge(*_by_column(rest[row, column], row + start, column + stop))
    return best, found


def _by_column(values: Tensor, sources: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values (n,) that belong to columns (n,): which columns there are (c,), and a row of values and sources of each.

    Rows (c, most) are filled up with infinity.
    """
    ordered, order = columns.sort(stable=True)
    there, counts = torch.unique_consecutive(ordered, return_counts=True)
    row = torch.arange(len(there), device=there.device).repeat_interleave(counts)
    within = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    width = int(counts.max()) if len(counts) else 0
    table = values.new_full((len(there), width), torch.inf)
    whence = sources.new_zeros(len(there), width)
    table[row, within], whence[row, within] = values[order], sources[order]
    return there, table, whence


# Balls


@dataclass(frozen=True)
class _Balls:
    """Balls around points that reach to their k-th neighbour, and how they grow.

    reach: (N,) distance to the k-th neighbour. further: (N,) to the next one, infinite if there is none: the reach if
    one of the k is left out. near: (N, k) the k neighbours.
    """

    reach: Tensor
    further: Tensor
    near: Tensor

    @classmethod
    def around(cls, points: Tensor, rough: _Rough, k: int) -> Self:
        distance, index = _search(points, points, min(k + 1, len(points) - 1), themselves=True, rough=rough)
        further = distance[:, k] if distance.shape[1] > k else torch.full_like(distance[:, 0], torch.inf)
        return cls(distance[:, k - 1].contiguous(), further.contiguous(), index[:, :k])


@dataclass(frozen=True)
class _Totals:
    """Points in any ball, pairs of a ball and a point in it, and balls with any point; one each or one per omission."""

    covered: Tensor
    memberships: Tensor
    populated: Tensor

    @classmethod
    def of(cls, covered: Tensor, memberships: Tensor, populated: Tensor) -> Self:
        """In float64: whole numbers divided by whole numbers would be float32."""
        return cls(covered.double(), memberships.double(), populated.double())


class _Members:
    """Which points are in which balls, added up pair by pair.

    inside: (P,) balls that each point is in. ball: (P,) the sum of their numbers, so the number of the only one.
    members: (B,) points in each ball. point: (B,) the sum of their numbers. shell: (B,) points that come in when the
    ball grows to its next neighbour. entering: (ball, point) of those, for points in one ball at most, since only these
    can come or go with a single ball.
    """

    def __init__(self, balls: int, points: int, device: torch.device) -> None:
        self.inside, self.ball = torch.zeros(2, points, dtype=torch.int64, device=device)
        self.members, self.point, self.shell = torch.zeros(3, balls, dtype=torch.int64, device=device)
        self.entering = torch.zeros(2, 0, dtype=torch.int64, device=device)

    def add(self, pairs: Tensor, in_ball: Tensor, in_shell: Tensor) -> None:
        """pairs: int64 (2, n) of ball and point, each seen once. in_ball, in_shell: bool (n,)."""
        ball, point = pairs[:, in_ball]
        self.inside += point.bincount(minlength=len(self.inside))
        self.members += ball.bincount(minlength=len(self.members))
        self.ball.index_add_(0, point, ball)
        self.point.index_add_(0, ball, point)
        grown = pairs[:, in_shell]
        self.shell += grown[0].bincount(minlength=len(self.shell))
        entering = torch.cat([self.entering, grown], 1)
        self.entering = entering[:, self.inside[entering[1]] <= 1]

    @property
    def covered(self) -> int:
        return int((self.inside > 0).sum())

    @property
    def memberships(self) -> int:
        return int(self.members.sum())

    @property
    def populated(self) -> int:
        return int((self.members > 0).sum())

    def without_points(self) -> _Totals:
        """The totals without each point (P,)."""
        alone = self.point[self.members == 1].bincount(minlength=len(self.inside))
        return _Totals.of(
            self.covered - (self.inside > 0).long(), self.memberships - self.inside, self.populated - alone
        )

    def without_balls(self, near: Tensor) -> _Totals:
        """The totals without each ball (B,), where those with it among their neighbours `near` (B, k) have grown."""
        alone = self.ball[self.inside == 1].bincount(minlength=len(self.members))
        ball, point = self.entering
        # Without its neighbour `omitted`, a ball takes in `point`; several balls may take in the same one.
        key = (near[ball] * len(self.inside) + point[:, None]).unique()
        omitted, point = key // len(self.inside), key % len(self.inside)
        needed = (self.inside[point] == 0) | (self.ball[point] == omitted)
        entered = omitted[needed].bincount(minlength=len(self.members))

        def grown(amount: Tensor) -> Tensor:
            each = amount[:, None].expand_as(near).flatten()
            return torch.zeros_like(amount).index_add_(0, near.flatten(), each)

        return _Totals.of(
            self.covered - alone + entered,
            self.memberships - self.members + grown(self.shell),
            self.populated - (self.members > 0).long() + grown(((self.members == 0) & (self.shell > 0)).long()),
        )


def _members(
    real: Tensor, fake: Tensor, a: _Rough, b: _Rough, real_balls: _Balls, fake_balls: _Balls
) -> tuple[_Members, _Members]:
    """Generated samples in the balls around real ones, and real samples in the balls around generated ones."""
    among_real = _Members(len(real), len(fake), real.device)
    among_fake = _Members(len(fake), len(real), real.device)
    # Rounded up, so that float32 leaves out no pair.
    real_far, fake_far = (_rounded_up((balls.further * a.scale).square()) for balls in (real_balls, fake_balls))
    for start, low in _panels(a, b):
        rows = slice(start, start + len(low))
        for within, balls, members, swap in (
            (low <= real_far[rows, None], real_balls, among_real, False),
            (low <= fake_far, fake_balls, among_fake, True),
        ):
            i, j = _places(within)
            least = low[i, j].double()
            i = i + start
            ball, point = (j, i) if swap else (i, j)
            reach, further = balls.reach[ball], balls.further[ball]
            most = least + a.slack[i] + b.slack[j]
            distance = (least + most).div_(2).clamp_(min=0).sqrt_().div_(a.scale)
            open_ = torch.zeros_like(least, dtype=torch.bool)
            for edge in (reach, further):
                squared = (edge * a.scale).square_()
                open_ |= (least <= squared * (1 + MARGIN)) & (most >= squared * (1 - MARGIN))
            unsure = open_.nonzero()[:, 0]
            if len(unsure):
                distance[unsure] = _apart(real, fake, i[unsure], j[unsure][:, None])[:, 0]
            in_ball = distance < reach
            members.add(torch.stack([ball, point]), in_ball, (distance < further) & ~in_ball)
    return among_real, among_fake


def _rounded_up(values: Tensor) -> Tensor:
    return (values * (1 + 1e-6) + 1e-37).float()


# Intervals


def _error(less_real: Tensor, less_fake: Tensor) -> float:
    """Standard error of a number of two independent samples from its values without each sample of either.

    Source: Arvesen 1969, the jackknife of two samples.
    """
    return math.sqrt(sum(float(v.var(correction=0)) * (len(v) - 1) for v in (less_real, less_fake)))


def _share(value: float, less_real: Tensor, less_fake: Tensor, most: float) -> Estimate:
    """A share of as many independent samples as its standard error is worth, `most` at most.

    Source: Korn & Graubard 1998 (the effective number of samples).
    """
    variance = _error(less_real, less_fake) ** 2
    spread = value * (1 - value)
    return share(value, min(most, spread / variance) if variance and spread else most)
