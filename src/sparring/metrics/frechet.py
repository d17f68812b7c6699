"""Frechet distance between two sets of features: streaming moments, the distance, its interval, and its limit.

It compares means and covariances only, in float64. Estimated from samples it is too large, the more so the fewer they
are; `frechet_estimate` says within which interval the distance of endless samples lies, `frechet_infinity` extrapolates
to it.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, pair, rows
from sparring.metrics.estimate import Estimate, distance_interval, t95

SEED = 0
"""Of the shuffles behind the intervals, which makes them the same every time."""

POINTS = 15
"""Subsets that `frechet_infinity` lays its line through."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (D,) and unbiased covariance (D, D; divided by count - 1) of features; count is None where it is unknown.

    Raises: MetricError for other shapes, NaN or infinity.
    """

    mean: Tensor
    cov: Tensor
    count: int | None = None

    def __post_init__(self) -> None:
        dimension = self.mean.numel()
        if not dimension or self.mean.shape != (dimension,) or self.cov.shape != (dimension, dimension):
            raise MetricError(
                f"mean of shape {tuple(self.mean.shape)} and covariance {tuple(self.cov.shape)}; expected (D,), (D, D)"
            )
        if not (self.mean.isfinite().all() and self.cov.isfinite().all()):
            raise MetricError("the moments contain NaN or infinity")


class MomentSum:
    """Moments of features that come in chunks, or from several processes that each hold a part.

    Keeps the mean and the scatter around it, never sums of raw squares: nothing cancels where the mean is large.

    Source: Chan, Golub & LeVeque 1983 (merging).
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def add(self, chunk: Features) -> None:
        """Takes rows of features (n, D) in.

        Raises: MetricError as `checks.rows`, or for another number of features than before.
        """
        features = rows(chunk, "added")
        mean = features.mean(0)
        centred = features - mean
        self._take(len(features), mean, centred.T @ centred)

    def merge(self, other: "MomentSum") -> None:
        """Takes in what another one has taken in; the other stays as it is.

        Raises: MetricError for another number of features.
        """
        if other._mean is not None and other._scatter is not None:
            self._take(other.count, other._mean, other._scatter.clone())

    def moments(self) -> Moments:
        """Mean and covariance of all rows so far.

        Raises: MetricError for fewer than two rows.
        """
        if self._mean is None or self._scatter is None or self.count < 2:
            raise MetricError(f"{self.count} sample{'s' * (self.count != 1)}; a covariance needs at least 2")
        return Moments(self._mean.clone(), self._scatter / (self.count - 1), self.count)

    def _take(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        """Merges a part; `scatter` becomes its own."""
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = count, mean, scatter
            return
        if mean.shape != self._mean.shape:
            raise MetricError(f"{len(mean)} features were added to {len(self._mean)}; both need the same number")
        mean, scatter = mean.to(self._mean), scatter.to(self._scatter)
        total = self.count + count
        apart = mean - self._mean
        self._scatter = self._scatter.add_(scatter).addr_(apart, apart, alpha=self.count * count / total)
        self._mean = self._mean + apart * (count / total)
        self.count = total


def moments(features: Features) -> Moments:
    """Moments of rows of features (N, D).

    Raises: MetricError as `checks.rows`, for fewer than two rows.
    """
    total = MomentSum()
    total.add(features)
    return total.moments()


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared 2-Wasserstein distance between Gaussians N(a.mean, a.cov) and N(b.mean, b.cov), at least 0.

    |a.mean - b.mean|^2 + tr(a.cov + b.cov - 2 (a.cov b.cov)^(1/2)), in the squared units of the features. With
    a.cov = A^T A and b.cov = B^T B, the trace of the root is the sum of the singular values of A B^T: real, where a
    general matrix square root need not be, and much faster. Covariances may be singular.

    Raises: MetricError if the two have different numbers of features.
    Source: Dowson & Landau 1982, eq. 4; used for images by Heusel et al. 2017 (FID), eq. 6.
    """
    _same_dimension(a, b)
    first, second = _double(a), _double(b, a.mean.device)
    if torch.equal(first.mean, second.mean) and torch.equal(first.cov, second.cov):
        return 0.0
    return _distance(first, second, _root(first.cov), _root(second.cov))


def frechet_estimate(a: Features, b: Features, *, together: int = 1) -> Estimate:
    """Frechet distance between rows of features (N, D) and (M, D), with the interval of that of endless samples.

    value: `frechet_distance` of their moments, which is biased upwards. For the interval the bias, whose leading part
    falls as 1 / N, is told from halves of both sets (by a fixed shuffle) and taken off; around that lie the standard
    errors of sampling (infinitesimal jackknife). Since what is left of the bias grows with D / N, the lower end goes
    further down by the bias times the mean of D / N and D / M: with fewer samples than features the interval is wide,
    as it should be. It holds the value and keeps to 0 or more. None for fewer than 4 samples on a side.

    together: how many rows that follow each other make one independent sample, such as the frames of a clip: the value
    is that of all rows, the interval that of other clips.

    Raises: MetricError as `checks.pair`, for fewer than 2 samples on a side.
    Source: Jaeckel 1972 (infinitesimal jackknife); Quenouille 1956 (bias from halves).
    """
    first, second = pair(a, b, "real", "generated", least=2)
    if len(first) % together or len(second) % together:
        raise MetricError(f"{len(first)} and {len(second)} rows; both should be multiples of {together}")
    a_count, b_count = len(first) // together, len(second) // together
    a_halves, b_halves = _halves(first, together), _halves(second, together)
    a_moments, b_moments = _merged(a_halves), _merged(b_halves)
    value = frechet_distance(a_moments, b_moments)
    if min(a_count, b_count) < 4:
        return Estimate(value)
    halved = [frechet_distance(x.moments(), y.moments()) for x, y in zip(a_halves, b_halves, strict=True)]
    bias = sum(halved) / len(halved) - value
    a_deviation, b_deviation = _deviations(a_moments, b_moments, first, second, together)
    error = math.hypot(a_deviation / math.sqrt(a_count), b_deviation / math.sqrt(b_count))
    margin = t95(min(a_count, b_count) - 1) * error
    doubt = abs(bias) * first.shape[1] * (1 / a_count + 1 / b_count) / 2
    return distance_interval(value, value - bias, margin, below=doubt)


def frechet_infinity(reference: Features | Moments, samples: Features) -> Estimate:
    """Frechet distance to the reference for endlessly many samples, by a line through the distances of 15 subsets.

    Only the side of `samples` (M, D) is extrapolated: the intercept of the distance as a line in 1 / m, for subsets of
    m = M / 10 to M samples, evenly spaced, but of at least 2.5 D, or M / 2 where M is smaller than 5 D. The paper has
    5,000 to 50,000 samples of 2,048 features, which is this rule. The subsets are the first m rows of a fixed shuffle.
    The reference is taken as it is: its own bias, if it was estimated from samples, stays in the value.

    The interval is about that distance, to the given reference: the standard error of sampling `samples`
    (infinitesimal jackknife), carried through the line, and on both sides the extrapolated part times D / M. The value
    may come out below 0, the true distance cannot.

    Raises: MetricError as `checks.rows`, for fewer than 30 samples or fewer than 2 of reference, or another dimension.
    Source: Chong & Forsyth 2020, section 3 and algorithm 1.
    """
    given = reference if isinstance(reference, Moments) else moments(reference)
    features = rows(samples, "generated", least=2 * POINTS)
    target = _double(given, features.device)
    count, dimension = features.shape
    if dimension != len(target.mean):
        raise MetricError(
            f"reference of {len(target.mean)} features, samples of {dimension}; both need the same number"
        )
    smallest = max(count // 10, min(math.ceil(2.5 * dimension), count // 2))
    sizes = [round(smallest + (count - smallest) * step / (POINTS - 1)) for step in range(POINTS)]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).to(features.device)
    target_root = _root(target.cov)
    total, distances = MomentSum(), []
    for start, stop in pairwise([0, *sizes]):
        total.add(features[order[start:stop]])
        part = total.moments()
        distances.append(_distance(target, part, target_root, _root(part.cov)))

    weights = _intercept_weights([1 / size for size in sizes])
    value = sum(weight * distance for weight, distance in zip(weights, distances, strict=True))
    # The i-th row of the shuffle counts weight / size in each subset that holds it.
    carried = sum(
        (stop - start) * sum(weight / size for weight, size in zip(weights[place:], sizes[place:], strict=True)) ** 2
        for place, (start, stop) in enumerate(pairwise([0, *sizes]))
    )
    error = _deviations(target, total.moments(), None, features)[1] * math.sqrt(carried)
    bias = distances[-1] - value
    margin = t95(count - 1) * error
    doubt = abs(bias) * dimension / count
    return distance_interval(value, value, margin, below=doubt, above=doubt)


def small_sample_warning(count: int, dimension: int) -> str | None:
    """A sentence if `count`, the samples of a side, is too few for the dimension of the features; otherwise None.

    Too few is less than 2 D: halves of such a sample do not fill the space, so that bias no longer falls as 1 / N and
    cannot be told from them. At 2 D two samples of one Gaussian are apart by 10 % of the sum of their variances if
    the variances fall as 1 / rank, by 15 % if all are equal; at D by 20 % and 29 %; at 20 D by 1 % and 1.5 % (D = 32).
    """
    if count >= 2 * dimension:
        return None
    return (
        f"{count:,} samples are few for {dimension:,} features: the Frechet distance comes out much too large, by an "
        f"amount that is not well known; take at least {2 * dimension:,}, or the kernel distance, which has no bias"
    )


def _same_dimension(a: Moments, b: Moments) -> None:
    if a.mean.shape != b.mean.shape:
        raise MetricError(f"moments of {len(a.mean)} and {len(b.mean)} features; both need the same number")


def _double(given: Moments, device: torch.device | None = None) -> Moments:
    """In float64, on `device`."""
    return Moments(given.mean.detach().to(device, torch.float64), given.cov.detach().to(device, torch.float64))


def _distance(a: Moments, b: Moments, a_root: Tensor, b_root: Tensor) -> float:
    """The distance from moments and their `_root`s; not below 0, as rounding could have it."""
    apart = (a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace()
    return max(0.0, float(apart) - 2 * _nuclear_norm(a_root @ b_root.T))


def _root(cov: Tensor) -> Tensor:
    """R (rank, D) with R^T R = cov. By Cholesky; by eigenvectors where the covariance is singular to rounding."""
    lower, failed = torch.linalg.cholesky_ex(cov)
    pivots = lower.diagonal().square()
    negligible = len(cov) * torch.finfo(cov.dtype).eps
    if not failed and pivots.min() > negligible * pivots.max():
        upper: Tensor = lower.T
        return upper
    values, vectors = torch.linalg.eigh(cov)
    kept = values > negligible * values[-1].abs()
    root: Tensor = values[kept].sqrt()[:, None] * vectors[:, kept].T
    return root


def _nuclear_norm(product: Tensor) -> float:
    """Sum of the singular values of a matrix.

    The eigenvalues of its Gram matrix are their squares and four times as fast. Rounding moves each square by about
    eps times the largest, which is nothing unless a singular value is tiny; where it would show, they are computed.
    """
    if not product.numel():
        return 0.0
    gram = product @ product.T if len(product) <= product.shape[1] else product.T @ product
    squares = torch.linalg.eigvalsh(gram).clamp(min=0)
    rounding = torch.finfo(product.dtype).eps * squares[-1]
    roots = squares.sqrt()
    if (rounding / squares.clamp(min=rounding).sqrt()).sum() <= 1e-9 * roots.sum():
        return float(roots.sum())
    return float(torch.linalg.svdvals(product).sum())


def _halves(features: Tensor, together: int) -> list[MomentSum]:
    """Of the rows in a shuffled order that is always the same; so many that follow each other stay together."""
    samples = features.reshape(-1, together, features.shape[1])
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(SEED)).to(features.device)
    halves = []
    for index in order.tensor_split(2):
        halves.append(MomentSum())
        halves[-1].add(samples[index].flatten(0, 1))
    return halves


def _merged(parts: list[MomentSum]) -> Moments:
    total = MomentSum()
    for part in parts:
        total.merge(part)
    return total.moments()


def _intercept_weights(places: list[float]) -> list[float]:
    """Weights (n,) whose sum with values at `places` is the intercept of their least-squares line."""
    mean = sum(places) / len(places)
    square = sum((place - mean) ** 2 for place in places)
    return [1 / len(places) - mean * (place - mean) / square for place in places]


def _deviations(
    a: Moments, b: Moments, a_rows: Tensor | None, b_rows: Tensor | None, together: int = 1
) -> tuple[float, float]:
    """Standard deviation of what each row (n, D) does to the distance, for both sides; 0 for a side without rows.
    Of so many rows that belong together the mean counts.

    A sample x of `a` moves the distance by 2 (m_a - m_b).(x - m_a) + (x - m_a)^T (I - T) (x - m_a), less the mean of
    that, where T transports N(m_a, C_a) to N(m_b, C_b) (Gelbrich 1990). With C_a = A^T A, C_b = B^T B, A B^T = U S V^T:
    T = A^+ U S U^T A^+T, and that from b to a is B^+ V S V^T B^+T.
    """
    a_root, b_root = _root(a.cov), _root(b.cov)
    product = a_root @ b_root.T
    squares, left = torch.linalg.eigh(product @ product.T)
    values = squares.clamp(min=0).sqrt()
    kept = values > math.sqrt(torch.finfo(values.dtype).eps) * values[-1:]
    half = values[kept].sqrt()
    to_b, to_a = left[:, kept] * half, product.T @ left[:, kept] / half
    return (
        0.0 if a_rows is None else _deviation(a_rows - a.mean, a.mean - b.mean, a_root, to_b, together),
        0.0 if b_rows is None else _deviation(b_rows - b.mean, b.mean - a.mean, b_root, to_a, together),
    )


def _deviation(centred: Tensor, apart: Tensor, root: Tensor, transport: Tensor, together: int) -> float:
    """Of the influence of centred rows (n, D), where T = R^+ transport transport^T R^+T for the root R."""
    carried = centred @ _undone(root, transport)
    influence = 2 * centred @ apart + centred.square().sum(1) - carried.square().sum(1)
    return float(influence.view(-1, together).mean(1).std())


def _undone(root: Tensor, matrix: Tensor) -> Tensor:
    """R^+ M for a `_root` R (rank, D), which either is triangular or has orthogonal rows."""
    if torch.equal(root, root.triu()) and len(root) == root.shape[1]:
        solved: Tensor = torch.linalg.solve_triangular(root, matrix, upper=True)
        return solved
    return root.T @ (matrix / root.square().sum(1, keepdim=True))
