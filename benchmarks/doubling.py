"""When are 4x4 convolutions with stride 2 quicker as products of matrices than by the library?

Two tables: the gradient by the weight, in bf16, from a grid to one of half its sides with twice the channels
(`doubling.weight_gradient`); and enlarging to few channels, in float32 (`doubling.enlarged`). All in channels last, the
library and ours alternating; milliseconds, medians, and the ratio of ours to the library's. Ours is taken where the
coarse grid is at most 4 wide, or where it enlarges to at most 4 channels.

    python benchmarks/doubling.py --threads 1
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sparring.networks.convolution import Geometry
from sparring.networks.doubling import TAPS, enlarged, weight_gradient
from sparring.training.allocation import keep_freed_memory

SHAPES = [(64, 8), (128, 8), (256, 8), (32, 16), (64, 16), (128, 16), (64, 32)]
"""Channels and side of the finer grid."""

ENLARGED = [(64, 1, 16), (64, 3, 16), (64, 4, 16), (64, 8, 16), (64, 16, 16), (128, 3, 8), (32, 3, 32)]
"""Channels before and after, and side of the coarser grid."""

DOUBLING = Geometry((2, 2), (1, 1), 1)


def by_the_library(fine: Tensor, coarse: Tensor) -> Tensor:
    """What `doubling.weight_gradient` gives."""
    weight = torch.empty(coarse.shape[1], fine.shape[1], TAPS, TAPS, dtype=fine.dtype)
    stride, padding, groups, transposed = DOUBLING
    _, by_weight, _ = torch.ops.aten.convolution_backward(
        coarse, fine, weight, None, stride, padding, (1, 1), transposed, (0, 0), groups, (False, True, False)
    )
    return by_weight


def enlarged_by_the_library(x: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.conv_transpose2d(x, weight, stride=2, padding=1)


def milliseconds(work: Callable[[], Tensor]) -> float:
    work()
    before = time.perf_counter()
    work()
    return (time.perf_counter() - before) * 1000


def compared(ways: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int) -> None:
    """Prints a row."""
    turns = [(milliseconds(ours), milliseconds(theirs)) for _ in range(rounds)]
    own, library = (statistics.median(times) for times in zip(*turns, strict=True))
    print(f"{ways} {own:10.2f} {library:15.2f} {own / library:7.2f}")


def main() -> None:
    """Reads the arguments, measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print("gradient by the weight\nchannels     sides    ours, ms   library, ms   ratio")
    for channels, side in SHAPES:
        fine = torch.randn(arguments.batch, channels, side, side).bfloat16()
        coarse = torch.randn(arguments.batch, 2 * channels, side // 2, side // 2).bfloat16()
        sides = [x.contiguous(memory_format=torch.channels_last) for x in (fine, coarse)]
        ways = f"{channels:3} to {2 * channels:3} {side:4} to {side // 2:2}"
        compared(ways, partial(weight_gradient, *sides), partial(by_the_library, *sides), arguments.rounds)
    print("enlarging\nchannels     sides    ours, ms   library, ms   ratio")
    for channels, out, side in ENLARGED:
        x = torch.randn(arguments.batch, channels, side, side).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, out, TAPS, TAPS).contiguous(memory_format=torch.channels_last)
        ways = f"{channels:3} to {out:3} {side:4} to {2 * side:2}"
        ours, theirs = (partial(work, x, weight) for work in (enlarged, enlarged_by_the_library))
        compared(ways, ours, theirs, arguments.rounds)


if __name__ == "__main__":
    main()
