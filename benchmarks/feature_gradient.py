"""How long does it take through a frozen network to the features, and back to the picture?

EfficientNet-Lite0 in bf16 with the layers of `networks/frozen_layers.py` and with the library's, alternating, on
pictures of several sizes; milliseconds a picture, medians, and the ratios.

    python benchmarks/feature_gradient.py --threads 2
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sparring.networks.efficientnet_lite import EfficientNetLite0, lite0
from sparring.networks.folding import Unit
from sparring.networks.frozen_layers import FrozenUnit
from sparring.training.allocation import keep_freed_memory

BATCH = 32


def plain(network: EfficientNetLite0) -> EfficientNetLite0:
    """The network with the library's layers and gradient."""
    for part in network.modules():
        if isinstance(part, FrozenUnit):
            part.__class__ = Unit
    return network


def there(network: EfficientNetLite0, pictures: Tensor) -> None:
    """To the features."""
    with torch.no_grad():
        network.maps(pictures)


def there_and_back(network: EfficientNetLite0, pictures: Tensor) -> None:
    """To the features and back."""
    seen = pictures.clone().requires_grad_()
    torch.stack([x.float().square().mean() for x in network.maps(seen).values()]).sum().backward()


def milliseconds(way: Callable[[EfficientNetLite0, Tensor], None], network: EfficientNetLite0, side: int) -> float:
    """Of a way through the network, a picture."""
    pictures = torch.rand(BATCH, 3, side, side) * 2 - 1
    before = time.perf_counter()
    way(network, pictures)
    return (time.perf_counter() - before) / BATCH * 1000


def main() -> None:
    """Reads the arguments, measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    networks = lite0(precision="bf16"), plain(lite0(precision="bf16"))
    print("side   there: ours   the library's   ratio   and back: ours   the library's   ratio")
    for side in (64, 96, 128):
        rounds = [
            [milliseconds(way, network, side) for way in (there, there_and_back) for network in networks]
            for _ in range(arguments.rounds + 1)  # the first warms up
        ]
        one, its, both, theirs = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
        print(f"{side:4} {one:13.2f} {its:15.2f} {one / its:7.2f} {both:16.2f} {theirs:15.2f} {both / theirs:7.2f}")


if __name__ == "__main__":
    main()
