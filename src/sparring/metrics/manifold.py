"""What nearest neighbours tell about two sets of samples: fidelity, variety and copying.

All functions take rows of features as tensors or arrays and compute in float64 by default: |a|^2 + |b|^2 - 2 a.b
cancels where points are close, and these are the distances that decide. Blocks of rows bound the memory whatever the
number of samples; the products inside run on all cores (BLAS) or on the GPU, if that is where the first argument is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import MetricError

Features = Tensor | NDArray[Any]
"""Rows of features (samples, features): a tensor, or anything `torch.as_tensor` understands."""

BLOCK = 1 << 23
"""Distances held at a time: 64 MiB in float64."""


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


def precision_recall_density_coverage(
    real: Features, fake: Features, k: int = 5, *, dtype: torch.dtype = torch.float64
) -> Manifold:
    """Compares real (N, D) with generated samples (M, D) by balls that reach to each sample's k-th neighbour.

    A sample is not its own neighbour. A point on the edge of a ball is outside (strict <).

    Raises: MetricError for fewer than k + 1 samples on a side, other numbers of features, NaN or infinity.
    Source: Kynkaanniemi et al. 2019, eq. 1-2 (precision, recall); Naeem et al. 2020, eq. 3-4 (density, coverage).
    """
    real, fake = _pair(real, fake, "real", "fake", dtype)
    for name, samples in (("real", real), ("fake", fake)):
        if len(samples) <= k:
            raise MetricError(f"{len(samples)} {name} samples; {k} nearest neighbours need at least {k + 1}")
    real_reach, fake_reach = _squared_reach(real, k), _squared_reach(fake, k)

    inside_real = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    recalled = covered = 0
    for rows, squared in _squared_distances(real, fake):
        in_ball = squared < real_reach[rows, None]
        inside_real += in_ball.sum(0)
        covered += int(in_ball.any(1).sum())
        recalled += int((squared < fake_reach).any(1).sum())
    return Manifold(
        precision=float((inside_real > 0).double().mean()),
        recall=recalled / len(real),
        density=float(inside_real.double().mean() / k),
        coverage=covered / len(real),
    )


def nearest(queries: Features, references: Features, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Distance (Q,) from each query (Q, D) to the nearest reference (R, D), and that reference's index, int64 (Q,).

    Raises: MetricError for no references, other numbers of features, NaN or infinity.
    """
    distance, index = neighbours(queries, references, 1, dtype=dtype)
    return distance[:, 0], index[:, 0]


def neighbours(
    queries: Features, references: Features, count: int, *, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Distances (Q, count) to the nearest references, nearest first, and their indices, int64 (Q, count).

    The search ranks by expanded squares; the distances returned are taken anew from the differences, so that a query
    that is among the references is at distance 0 exactly.

    Raises: MetricError for fewer than `count` references, other numbers of features, NaN or infinity.
    """
    queries, references = _pair(queries, references, "query", "reference", dtype)
    if len(references) < count:
        raise MetricError(f"{len(references)} reference samples; {count} nearest need at least as many")
    found = [squared.topk(count, largest=False).indices for _, squared in _squared_distances(queries, references)]
    index = torch.cat(found) if found else torch.empty(0, count, dtype=torch.int64, device=queries.device)
    columns = [torch.linalg.vector_norm(queries - references[column], dim=1) for column in index.unbind(1)]
    return torch.stack(columns, 1), index


def copies(fake: Features, real: Features, *, dtype: torch.dtype = torch.float64) -> float:
    """Share of generated samples (M, D) that are near-copies of training samples (N, D), 0 to 1.

    A near-copy lies within half the distance that only 1 % of the real samples come to another real one. So the scale
    follows from the data, and real samples that were held out would hardly ever count: in d effective dimensions
    about 0.01 / 2^d of them. Exact duplicates among the real samples are counted once, otherwise a folder with every
    picture twice would have the scale 0. It finds copies of whole pictures, not of parts, shifted or mirrored ones.

    Raises: MetricError for fewer than two real samples, other numbers of features, NaN or infinity.
    """
    fake, real = _pair(fake, real, "fake", "real", dtype)
    if len(real) < 2:
        raise MetricError(f"{len(real)} real samples; telling copies needs at least 2")
    distinct = torch.unique(real, dim=0)
    near = _squared_reach(distinct, 1).sqrt().quantile(0.01) / 2 if len(distinct) > 1 else real.new_zeros(())
    distance, _ = nearest(fake, real, dtype=dtype)
    return float((distance <= near).double().mean())


def _pair(a: Features, b: Features, a_name: str, b_name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both as matrices of `dtype` on the device of the first; complains about what cannot be compared."""
    a = torch.as_tensor(a)
    pair = a.detach().to(dtype), torch.as_tensor(b).detach().to(a.device, dtype)
    for name, samples in zip((a_name, b_name), pair, strict=True):
        if samples.ndim != 2:
            raise MetricError(f"{name} features have shape {tuple(samples.shape)}; expected (samples, features)")
        if not samples.isfinite().all():
            raise MetricError(f"{name} features contain NaN or infinity")
    if pair[0].shape[1] != pair[1].shape[1]:
        raise MetricError(
            f"{a_name} samples have {pair[0].shape[1]} features and {b_name} samples {pair[1].shape[1]}; "
            "both need the same number"
        )
    return pair


def _squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of the matrix |a_i - b_j|^2 (N, M), each with the slice of `a` that it belongs to.

    What is within the rounding of the expanded squares is 0, so that equal samples are in no ball of reach 0.
    """
    b_squares = b.square().sum(1)
    rounding = 64 * torch.finfo(a.dtype).eps
    rows = max(1, BLOCK // max(1, len(b)))
    for start in range(0, len(a), rows):
        block = a[start : start + rows]
        squares = block.square().sum(1, keepdim=True) + b_squares
        squared = torch.addmm(squares, block, b.T, alpha=-2)
        yield slice(start, start + len(block)), squared.masked_fill_(squared <= rounding * squares, 0)


def _squared_reach(points: Tensor, k: int) -> Tensor:
    """Squared distance (N,) from each point to its k-th neighbour among the others."""
    reach = []
    for rows, squared in _squared_distances(points, points):
        squared.diagonal(rows.start).fill_(torch.inf)
        reach.append(squared.topk(k, largest=False).values[:, -1])
    return torch.cat(reach)
