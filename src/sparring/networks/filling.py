"""Holes filled smoothly: Laplace's equation on a pyramid of grids, the best guess without any knowledge of pictures.

A full multigrid descent (Brandt 1977) in its simplest form. Known pixels are averaged to ever coarser grids, until the
coarsest knows something everywhere; from there each grid takes the unknown from the coarser one, and settles it by some
sweeps of Jacobi's iteration. Made of pooling, resizing and sums alone, it runs wherever a network runs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

GRIDS = 6
"""Each has half the side of the one before: holes up to about 64 pixels are spanned, and the mean is beyond."""

SWEEPS = 6


@torch.no_grad()
def fill(x: Tensor, mask: Tensor) -> Tensor:
    """Pictures (N, C, H, W) whose unknown pixels are nearly the mean of their four neighbours; the others stay.

    mask: (N, 1, H, W), 1 where pixels are unknown, 0 elsewhere. Edges have no slope across. No gradients.
    """
    known = 1 - mask
    grids = [(x * known, known)]
    for _ in range(GRIDS - 1):
        values, weight = grids[-1]
        share = F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
        total = F.avg_pool2d(values, 2, ceil_mode=True, count_include_pad=False)
        there = (share > 0).to(x.dtype)
        grids.append((total / share.clamp(min=1e-6) * there, there))
    values, weight = grids[-1]
    mean = (values * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
    filled = torch.where(weight > 0, values, mean)
    for values, weight in reversed(grids):
        filled = F.interpolate(filled, values.shape[2:], mode="bilinear", align_corners=False)
        for _ in range(SWEEPS):
            filled = torch.where(weight > 0, values, neighbours(filled))
    return filled


def neighbours(x: Tensor) -> Tensor:
    """The mean of the four neighbours of each pixel, of an edge's own value where one is missing."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    above, below = padded[:, :, :-2, 1:-1], padded[:, :, 2:, 1:-1]
    left, right = padded[:, :, 1:-1, :-2], padded[:, :, 1:-1, 2:]
    return (above + below + left + right) / 4
