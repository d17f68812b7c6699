"""How long does the light generator of photographs take, there and back, with its gate's gradient worked out by hand?

The generator `skip` in bf16 with the gate of `networks/skip.py` and with the same formula left to the library,
alternating, for pictures of several sizes; milliseconds a picture, medians, and the ratio.

    python benchmarks/gate_gradient.py --threads 2
"""

import argparse
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from unittest import mock

import torch
from torch import Tensor, nn

from sparring.networks import skip
from sparring.training.allocation import keep_freed_memory

BATCH, Z_DIM, WIDTH = 32, 128, 48


def there_and_back(generator: nn.Module) -> None:
    """From latents to pictures, and to the gradients of all weights."""
    with torch.autocast("cpu", torch.bfloat16):
        pictures: Tensor = generator(torch.randn(BATCH, Z_DIM))
    pictures.square().mean().backward()  # type: ignore[no-untyped-call]


def milliseconds(generator: nn.Module, gate: AbstractContextManager[object]) -> float:
    """Of there and back, a picture."""
    with gate:
        there_and_back(generator)
        before = time.perf_counter()
        there_and_back(generator)
        return (time.perf_counter() - before) / BATCH * 1000


def main() -> None:
    """Reads the arguments, measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print("side   ours   the library's   ratio")
    for side in (32, 64, 128):
        generator = skip.Generator((3, side, side), z_dim=Z_DIM, width=WIDTH, depth=1)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(milliseconds(generator, nullcontext()))
            theirs.append(milliseconds(generator, mock.patch.object(skip, "gate", skip.formula)))
        mine, library = statistics.median(ours), statistics.median(theirs)
        print(f"{side:4} {mine:6.2f} {library:15.2f} {mine / library:7.2f}")


if __name__ == "__main__":
    main()
