"""Holes filled smoothly: Laplace's equation on a pyramid of grids, a good guess without any knowledge of pictures.

The equation alone takes the values at the edge of a hole and forgets how they change towards it. Pictures are smoother
than that: they go on in a hole for about a pixel as they came, and it is from there that the equation fills it. That is
nearly what the Gaussian process does whose energy is that of the slope and of the curvature together.

A full multigrid descent (Brandt 1977) in its simplest form. Known pixels are averaged to ever coarser grids, until the
coarsest knows something everywhere; from there each grid takes the unknown from the coarser one, and settles it by some
sweeps of Richardson's iteration with Chebyshev's steps (Young 1953). Made of pooling, resizing and sums alone, it runs
wherever a network runs.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GRIDS = 6
"""Each has half the side of the one before: holes up to about 64 pixels are spanned, and the mean is beyond."""

SWEEPS = 16
"""A power of two, see `steps`."""

LEAST, MOST = 0.02, 2.0
"""Of the eigenvalues of one minus the mean of the neighbours; smaller ones are the business of coarser grids."""

EDGE = 3
"""Pixels a side of the square over which one at the edge of a hole is compared with what is known around it."""


@torch.no_grad()
def fill(x: Tensor, mask: Tensor) -> Tensor:
    """Pictures (N, C, H, W) whose unknown pixels are nearly the mean of their four neighbours, those at the edge of a
    hole seen as they go on; the known ones stay.

    mask: (N, 1, H, W), 1 where pixels are unknown, 0 elsewhere. Edges have no slope across. No gradients.
    """
    known = 1 - mask
    grids = [(continued(x, known) * known, known)]
    for _ in range(GRIDS - 1):
        values, weight = grids[-1]
        share = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
        total = F.avg_pool2d(values, 2, ceil_mode=True, count_include_pad=False)
        there = (share > 0).to(x.dtype)
        grids.append((total / share.clamp(min=1e-6) * there, there))
    values, weight = grids[-1]
    mean = (values * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    filled = torch.where(weight > 0, values, mean)
    sweeps = steps(SWEEPS)
    for values, weight in reversed(grids):
        filled = F.interpolate(filled, values.shape[2:], mode="bilinear", align_corners=False)
        filled = torch.where(weight > 0, values, filled)
        for step in sweeps:
            filled = torch.where(weight > 0, values, torch.lerp(filled, neighbours(filled), step))
    return torch.where(known > 0, x, filled)


def continued(x: Tensor, known: Tensor) -> Tensor:
    """Known pixels one step further on: as much beyond what is known around them as they are already."""
    total, share = (F.avg_pool2d(part, EDGE, 1, EDGE // 2) for part in (x * known, known))
    return 2 * x - total / share.clamp(min=1e-6)


def steps(count: int) -> list[float]:
    """How far the sweeps go, 1 being Jacobi's: one over the zeros of Chebyshev's polynomial on [LEAST, MOST].

    No polynomial of this degree is smaller on the whole of it. In the order of Lebedev & Finogenov (1971), in which
    rounding does not grow; count: a power of two.

    >>> [round(step, 2) for step in steps(4)]
    [0.52, 10.49, 0.72, 1.58]
    """
    order = [1]
    while len(order) < count:
        order = [number for each in order for number in (each, 4 * len(order) - each)]
    middle, half = (MOST + LEAST) / 2, (MOST - LEAST) / 2
    return [1 / (middle + half * math.cos(math.pi * number / (2 * count))) for number in order]


def neighbours(x: Tensor) -> Tensor:
    """The mean of the four neighbours of each pixel, of an edge's own value where one is missing."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    above, below = padded[:, :, :-2, 1:-1], padded[:, :, 2:, 1:-1]
    left, right = padded[:, :, 1:-1, :-2], padded[:, :, 1:-1, 2:]
    return (above + below + left + right) / 4
