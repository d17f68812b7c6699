"""Convolutions between a grid and one of twice its sides, by 4x4 kernels with stride 2, as products of matrices.

On CPUs the library is slow at two things that are one product and some copying: enlarging to few channels, as the last
layer of a generator does, and the gradient by the weight where the coarse grid is so narrow that its rows do not fill
the registers of bf16 kernels (`benchmarks/doubling.py`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 4
NARROW = 4
"""Places a row of the coarse grid up to which the product is quicker."""

FEW = 4
"""Channels up to which enlarging by a product is quicker."""


def enlarges_by_product(x: Tensor, weight: Tensor) -> bool:
    """Whether `enlarged` is what the transposed convolution of x (N, C, h, w) by weight (C, out, 4, 4) should be."""
    return weight.shape[1] <= FEW and is_lying_ready(x)


def enlarged(x: Tensor, weight: Tensor) -> Tensor:
    """The transposed convolution of x (N, C, h, w) by weight (C, out, 4, 4), padded by 1: (N, out, 2 h, 2 w).

    One product gives the 4x4 that each place adds to; four sums, one for each of the 2x2 that overlap, put them
    together.
    """
    n, channels, height, width = x.shape
    out = weight.shape[1]
    squares = x.permute(0, 2, 3, 1).reshape(-1, channels) @ weight.permute(0, 2, 3, 1).reshape(channels, -1)
    squares = squares.view(n, height, width, 2, 2, 2, 2, out).transpose(3, 4)
    whole = x.new_zeros(n, height + 1, 2, width + 1, 2, out).transpose(2, 3)
    for down in (0, 1):
        for right in (0, 1):
            whole[:, down : down + height, right : right + width] += squares[:, :, :, :, down, right]
    padded = whole.transpose(2, 3).reshape(n, 2 * height + 2, 2 * width + 2, out)
    return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def learns_by_product(fine: Tensor, coarse: Tensor) -> bool:
    """Whether `weight_gradient` is quicker for these two sides of a convolution than the library's."""
    ready = is_lying_ready(fine) and is_lying_ready(coarse)
    return ready and coarse.shape[3] <= NARROW and fine.dtype == coarse.dtype == torch.bfloat16


def weight_gradient(fine: Tensor, coarse: Tensor) -> Tensor:
    """The gradient (K, C, 4, 4) by the weight of a convolution from fine (N, C, 2 h, 2 w), padded by 1, to coarse
    (N, K, h, w), or of the transposed one the other way: one of them is an input, the other a gradient."""
    padded = F.pad(fine.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    n, height, width, channels = padded.shape
    row = width * channels
    sizes = n, height // 2 - 1, width // 2 - 1, TAPS, TAPS * channels
    seen = padded.as_strided(sizes, (height * row, 2 * row, 2 * channels, row, 1)).reshape(-1, TAPS * TAPS * channels)
    product = coarse.permute(0, 2, 3, 1).flatten(0, 2).T @ seen
    return product.view(-1, TAPS, TAPS, channels).permute(0, 3, 1, 2)


def is_lying_ready(x: Tensor) -> bool:
    """Whether a tensor is on a CPU and in channels last, and nobody looks on who would write down a layer in pieces."""
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    watched = traced or torch.compiler.is_compiling() or torch.compiler.is_exporting()
    return x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last) and not watched
