"""What every function on features checks first: rows of finite numbers, of the same kind on both sides."""

import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import MetricError

Features = Tensor | NDArray[Any]
"""Rows of features (samples, features): a tensor, or anything `torch.as_tensor` understands."""


LARGEST = 1e50
"""The largest feature that can be computed with, and the inverse of the least: cubes of products are taken."""


def rows(features: Features, name: str, *, least: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """The features as a matrix (samples, features) of `dtype`, where they are.

    name: what they are called in errors, such as "real".
    Raises: MetricError for another shape, fewer than `least` rows, no features, NaN, infinity, or absurd magnitudes.
    """
    matrix = torch.as_tensor(features).detach().to(dtype)
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise MetricError(f"{name} features have shape {tuple(matrix.shape)}; expected (samples, features)")
    if len(matrix) < least:
        raise MetricError(f"{len(matrix)} {name} sample{'s' * (len(matrix) != 1)}; at least {least} are needed")
    largest = max(map(abs, map(float, matrix.aminmax()))) if len(matrix) else 0.0
    if not math.isfinite(largest):
        broken = int((~matrix.isfinite()).any(1).nonzero()[0])
        raise MetricError(f"{name} features contain NaN or infinity (row {broken} is the first)")
    if largest and not 1 / LARGEST <= largest <= LARGEST:
        raise MetricError(f"the largest {name} feature is {largest:.1e}; numbers cannot be computed with; scale them")
    return matrix


def pair(
    a: Features, b: Features, a_name: str, b_name: str, *, least: int = 1, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Both as `rows`, on the device of the first.

    Raises: MetricError as `rows`, or if they have different numbers of features.
    """
    first = rows(a, a_name, least=least, dtype=dtype)
    second = rows(torch.as_tensor(b).to(first.device), b_name, least=least, dtype=dtype)
    if first.shape[1] != second.shape[1]:
        raise MetricError(
            f"{a_name} samples have {first.shape[1]} features and {b_name} samples {second.shape[1]}; "
            "both need the same number"
        )
    return first, second
