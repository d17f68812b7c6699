"""The Inception-v3 of the Frechet Inception distance and the Inception Score.

Not the Inception-v3 of model zoos: Heusel et al. 2017 measure with a network that TensorFlow published on 2015-12-05.
It tells 1008 classes apart, averages at the edges over the pixels there are, and in its last block has a maximum where
the paper (Szegedy et al. 2016, figure 7) has an average. Any other network gives other numbers. Its weights, in the
file for PyTorch that M. Seitzer's pytorch-fid made, are downloaded when they are first used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import MetricError
from sparring.networks.features import Card, frozen
from sparring.networks.folding import Unit, fold
from sparring.networks.weights import Check, Weights, fill, find, load

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
CHECK = Check(sha256="6726825d", sha1="bd836944fd6db519dfd8d924aa457f5b3c8357ff")
"""The SHA-256 is published by its beginning, in the name of the file; the SHA-1 in full, by NVIDIA."""

SIZE = 299
LEAST = 75
"""Pixels a side below which nothing is left for the last blocks."""

CLASSES = 1008
DIMENSION = 2048
EPS = 1e-3

average: Callable[[Tensor], Tensor] = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
"""Of the pixels there are: what is beyond the edge does not count, in TensorFlow."""
maximum: Callable[[Tensor], Tensor] = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
halving: Callable[[Tensor], Tensor] = partial(F.max_pool2d, kernel_size=3, stride=2)


@dataclass(frozen=True)
class Conv:
    """A convolution of a block: its name in the file, the channels it gives, its kernel. Stride 2 comes unpadded."""

    name: str
    channels: int
    kernel: tuple[int, int]
    stride: int = 1


@dataclass(frozen=True)
class Branch:
    """A pooling if there is one, then convolutions one after the other, then some side by side on the result."""

    convs: tuple[Conv, ...] = ()
    pool: Callable[[Tensor], Tensor] | None = None
    ends: tuple[Conv, ...] = ()


ONE, THREE, FIVE = (1, 1), (3, 3), (5, 5)
WIDE, TALL = (1, 7), (7, 1)
"""A kernel of 7x7, as a row and a column."""


def mixed_5(pool_channels: int) -> tuple[Branch, ...]:
    """At stride 8 (Szegedy et al. 2016, figure 5)."""
    return (
        Branch((Conv("branch1x1", 64, ONE),)),
        Branch((Conv("branch5x5_1", 48, ONE), Conv("branch5x5_2", 64, FIVE))),
        Branch((Conv("branch3x3dbl_1", 64, ONE), Conv("branch3x3dbl_2", 96, THREE), Conv("branch3x3dbl_3", 96, THREE))),
        Branch((Conv("branch_pool", pool_channels, ONE),), pool=average),
    )


def mixed_6(inner: int) -> tuple[Branch, ...]:
    """At stride 16 (figure 6), with `inner` channels between the halves of the 7x7 kernels."""
    return (
        Branch((Conv("branch1x1", 192, ONE),)),
        Branch((Conv("branch7x7_1", inner, ONE), Conv("branch7x7_2", inner, WIDE), Conv("branch7x7_3", 192, TALL))),
        Branch(
            (
                Conv("branch7x7dbl_1", inner, ONE),
                Conv("branch7x7dbl_2", inner, TALL),
                Conv("branch7x7dbl_3", inner, WIDE),
                Conv("branch7x7dbl_4", inner, TALL),
                Conv("branch7x7dbl_5", 192, WIDE),
            )
        ),
        Branch((Conv("branch_pool", 192, ONE),), pool=average),
    )


def mixed_7(pool: Callable[[Tensor], Tensor]) -> tuple[Branch, ...]:
    """At stride 32 (figure 7)."""
    return (
        Branch((Conv("branch1x1", 320, ONE),)),
        Branch(
            (Conv("branch3x3_1", 384, ONE),),
            ends=(Conv("branch3x3_2a", 384, (1, 3)), Conv("branch3x3_2b", 384, (3, 1))),
        ),
        Branch(
            (Conv("branch3x3dbl_1", 448, ONE), Conv("branch3x3dbl_2", 384, THREE)),
            ends=(Conv("branch3x3dbl_3a", 384, (1, 3)), Conv("branch3x3dbl_3b", 384, (3, 1))),
        ),
        Branch((Conv("branch_pool", 192, ONE),), pool=pool),
    )


TO_6 = (
    Branch((Conv("branch3x3", 384, THREE, 2),)),
    Branch((Conv("branch3x3dbl_1", 64, ONE), Conv("branch3x3dbl_2", 96, THREE), Conv("branch3x3dbl_3", 96, THREE, 2))),
    Branch(pool=halving),
)
TO_7 = (
    Branch((Conv("branch3x3_1", 192, ONE), Conv("branch3x3_2", 320, THREE, 2))),
    Branch(
        (
            Conv("branch7x7x3_1", 192, ONE),
            Conv("branch7x7x3_2", 192, WIDE),
            Conv("branch7x7x3_3", 192, TALL),
            Conv("branch7x7x3_4", 192, THREE, 2),
        )
    ),
    Branch(pool=halving),
)

BLOCKS = {
    "Mixed_5b": mixed_5(32),
    "Mixed_5c": mixed_5(64),
    "Mixed_5d": mixed_5(64),
    "Mixed_6a": TO_6,
    "Mixed_6b": mixed_6(128),
    "Mixed_6c": mixed_6(160),
    "Mixed_6d": mixed_6(160),
    "Mixed_6e": mixed_6(192),
    "Mixed_7a": TO_7,
    "Mixed_7b": mixed_7(average),
    "Mixed_7c": mixed_7(maximum),  # an average in the paper
}
"""The blocks in order, under their names in the file."""

LAST = {"Conv2d_2b_3x3": 2, "Conv2d_4a_3x3": 4, "Mixed_5d": 8, "Mixed_6e": 16, "Mixed_7c": 32}
"""Strides by the layer that is the last of that stride."""


STEM = (
    (Conv("Conv2d_1a_3x3", 32, THREE, 2), 0),
    (Conv("Conv2d_2a_3x3", 32, THREE), 0),
    (Conv("Conv2d_2b_3x3", 64, THREE), 1),
    (Conv("Conv2d_3b_1x1", 80, ONE), 0),
    (Conv("Conv2d_4a_3x3", 192, THREE), 0),
)
"""The first convolutions with their padding."""

HALVED_BEFORE = ("Conv2d_3b_1x1", "Mixed_5b")
"""The layers whose input is halved by a maximum."""


class Mixed(nn.Module):
    """Branches side by side, whose channels are put one after the other; `after` is how many there are then."""

    def __init__(self, before: int, branches: tuple[Branch, ...]) -> None:
        super().__init__()
        self.branches = branches
        self.after = 0
        for branch in branches:
            channels = before
            for conv in branch.convs:
                self.add_module(conv.name, unit(channels, conv))
                channels = conv.channels
            for conv in branch.ends:
                self.add_module(conv.name, unit(channels, conv))
            self.after += sum(conv.channels for conv in branch.ends) or channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, h, w) to (N, after, h, w), or to half the sides."""
        outputs = []
        for branch in self.branches:
            y = x if branch.pool is None else branch.pool(x)
            for conv in branch.convs:
                y = self.get_submodule(conv.name)(y)
            outputs += [self.get_submodule(conv.name)(y) for conv in branch.ends] or [y]
        return torch.cat(outputs, 1)


class Inception(nn.Module):
    """A `FeatureNetwork` with 2048 features, and maps at strides 2, 4, 8, 16, 32 of 64 to 2048 channels.

    Without padding in the first layers, maps have a few rows and columns fewer than the stride says. The logits are
    without the bias of the last layer, as the original Inception Score has them.
    """

    def __init__(self, weights: Weights, card: Card) -> None:
        super().__init__()
        self.card = card
        with torch.device("meta"):  # shapes only: nothing is drawn, and no time goes into values that are replaced
            channels = 3
            for conv, padding in STEM:
                self.add_module(conv.name, unit(channels, conv, padding))
                channels = conv.channels
            for name, branches in BLOCKS.items():
                block = Mixed(channels, branches)
                self.add_module(name, block)
                channels = block.after
            self.fc = nn.Linear(channels, CLASSES)
        fill(self, weights.tensors, "the Inception-v3 of FID")
        fold(self)
        frozen(self)

    def pooled(self, pictures: Tensor) -> Tensor:
        """See `FeatureNetwork`. Raises MetricError for pictures with a side below 75 pixels."""
        return self.layers(pictures)[LAST["Mixed_7c"]].float().mean((2, 3))

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """See `FeatureNetwork`. Raises MetricError for pictures with a side below 75 pixels."""
        return self.layers(pictures)

    def logits(self, pooled: Tensor) -> Tensor:
        """See `FeatureNetwork`."""
        return F.linear(pooled, self.fc.weight)

    def layers(self, pictures: Tensor) -> dict[int, Tensor]:
        """Maps by stride."""
        height, width = pictures.shape[2:]
        if min(height, width) < LEAST:
            raise MetricError(f"pictures of {height}x{width} pixels; Inception needs at least {LEAST}x{LEAST}")
        x = (pictures * 127.5 - 0.5) / 128  # (v - 128) / 128 for values v from 0 to 255, as in TensorFlow's graph
        x = x.contiguous(memory_format=torch.channels_last)
        maps = {}
        for name in (*(conv.name for conv, _ in STEM), *BLOCKS):
            if name in HALVED_BEFORE:
                x = halving(x)
            x = self.get_submodule(name)(x)
            if name in LAST:
                maps[LAST[name]] = x
        return maps


def inception(path: Path | None = None, *, clean: bool = False, check: Check = CHECK) -> Inception:
    """The network with its weights at `path`, else found or downloaded.

    clean: pictures are resized as in clean-fid (Parmar et al. 2022); otherwise as in the original FID, and in
    torch-fidelity, which agrees with it.
    Raises: MetricError if the weights are missing, or another file than `check` says.
    """
    weights = load(path or find(FILE, check, URL), check)
    card = Card(
        name="inception-clean" if clean else "inception",
        title=f"Inception-v3 of 2015-12-05, trained on ImageNet: the network of FID{', clean resizing' * clean}",
        dimension=DIMENSION,
        size=(SIZE, SIZE),
        resize="bicubic antialiased" if clean else "bilinear TensorFlow 1",
        licence="Apache-2.0",
        digest=weights.digest,
        source="Szegedy et al. 2016, arXiv 1512.00567; Heusel et al. 2017, arXiv 1706.08500; " + URL,
        strides={2: 64, 4: 192, 8: 288, 16: 768, 32: DIMENSION},
        classes=CLASSES,
        trained_on="ImageNet",
    )
    return Inception(weights, card)


def unit(before: int, conv: Conv, padding: int | None = None) -> Unit:
    """Convolution, normalisation, ReLU; padded so that the sides stay where `padding` is not given and stride is 1."""
    height, width = conv.kernel
    around = (height // 2, width // 2) if conv.stride == 1 else (0, 0)
    layer = nn.Conv2d(
        before, conv.channels, conv.kernel, conv.stride, around if padding is None else padding, bias=False
    )
    return Unit(layer, EPS, partial(F.relu, inplace=True))
