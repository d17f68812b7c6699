"""When is the gradient by the weight of a 4x4 convolution quicker as a product with patches than by the library?

Convolutions with stride 2 in bf16 and channels last, from a grid to one of half its sides, with twice the channels;
the library's gradient and `doubling.weight_gradient` alternating; milliseconds, medians, and the ratio.

    python benchmarks/weight_gradient.py --threads 1
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sparring.networks.convolution import Geometry
from sparring.networks.doubling import TAPS, weight_gradient
from sparring.training.allocation import keep_freed_memory

SHAPES = [(64, 8), (128, 8), (256, 8), (32, 16), (64, 16), (128, 16), (64, 32)]
"""Channels and side of the finer grid."""

DOUBLING = Geometry((2, 2), (1, 1), 1)


def by_the_library(fine: Tensor, coarse: Tensor) -> Tensor:
    """What `doubling.weight_gradient` gives."""
    weight = torch.empty(coarse.shape[1], fine.shape[1], TAPS, TAPS, dtype=fine.dtype)
    stride, padding, groups, transposed = DOUBLING
    _, by_weight, _ = torch.ops.aten.convolution_backward(
        coarse, fine, weight, None, stride, padding, (1, 1), transposed, (0, 0), groups, (False, True, False)
    )
    return by_weight


def milliseconds(work: Callable[[], Tensor]) -> float:
    work()
    before = time.perf_counter()
    work()
    return (time.perf_counter() - before) * 1000


def main() -> None:
    """Reads the arguments, measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print("channels     sides       ours   the library's   ratio")
    for channels, side in SHAPES:
        fine = torch.randn(arguments.batch, channels, side, side).bfloat16()
        coarse = torch.randn(arguments.batch, 2 * channels, side // 2, side // 2).bfloat16()
        sides = [x.contiguous(memory_format=torch.channels_last) for x in (fine, coarse)]
        turns = [
            (milliseconds(partial(weight_gradient, *sides)), milliseconds(partial(by_the_library, *sides)))
            for _ in range(arguments.rounds)
        ]
        ours, theirs = (statistics.median(times) for times in zip(*turns, strict=True))
        ways = f"{channels:3} to {2 * channels:3} {side:4} to {side // 2:2}"
        print(f"{ways} {ours:10.2f} {theirs:15.2f} {ours / theirs:7.2f}")


if __name__ == "__main__":
    main()
