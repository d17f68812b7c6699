"""How long does it take through a frozen network to the features, and back to the picture?

EfficientNet-Lite0 in bf16 with the gradient of `networks/depthwise.py` and with the library's, alternating, on pictures
of several sizes; milliseconds a picture, medians, and the ratio.

    python benchmarks/feature_gradient.py --threads 2
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparring.networks.depthwise import Depthwise
from sparring.networks.efficientnet_lite import EfficientNetLite0, lite0

BATCH = 32


class Plain(nn.Conv2d):
    """The same convolution with the library's gradient."""


def plain(network: EfficientNetLite0) -> EfficientNetLite0:
    """The network with the library's gradient."""
    for part in network.modules():
        if isinstance(part, Depthwise):
            part.__class__ = Plain
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
    networks = lite0(precision="bf16"), plain(lite0(precision="bf16"))
    print("side   there   there and back: ours   the library's   ratio")
    for side in (64, 96, 128):
        rounds = []
        for _ in range(arguments.rounds + 1):  # the first warms up
            times = [milliseconds(there_and_back, network, side) for network in networks]
            rounds.append([milliseconds(there, networks[0], side), *times])
        way, ours, theirs = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
        print(f"{side:4} {way:7.2f} {ours:22.2f} {theirs:15.2f} {ours / theirs:7.2f}")


if __name__ == "__main__":
    main()
