"""The networks of DCGAN (Radford et al. 2016), the classic baseline: strided convolutions, ReLU and tanh.

One thing differs. The paper normalises over the batch, which makes the verdict on one picture depend on the others: R1
is then not what it says, and micro-batches and several devices change the result. Here the statistics are those of one
sample, over all channels and pixels (`nn.GroupNorm` with one group: layer normalisation, which Gulrajani et al. 2017
recommend in this place), with the paper's learned scale and shift for each channel. A discriminator with spectral
normalisation has no other, as in Miyato et al. 2018.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.convolution import Convolution, TransposedConvolution
from sparring.networks.layers import Head, Latent, Shape, activate, at_least_float32, check, full_precision, halvings
from sparring.networks.spectral import normalise

Size = tuple[int, int]

DOUBLINGS = 3
"""Channels double with each halving, up to eightfold: 64, 128, 256, 512 for pictures of 64x64."""


class Generator(nn.Module):
    """z (N, z_dim) and labels to pictures (N, C, H, W) in (-1, 1).

    `width` is the number of channels at half the picture's size (64 or 128 in the literature); it doubles with each
    halving, up to eightfold. `depth` is the number of convolutions a grid, 1 in the paper.
    """

    def __init__(self, shape: Shape, *, z_dim: int, classes: int = 0, width: int, depth: int) -> None:
        super().__init__()
        grids, channels = plan(shape, width, depth, z_dim=z_dim)
        self.latent = Latent(z_dim, classes)
        self.start_shape = (*grids[-1], channels[-1])
        self.start = nn.Linear(self.latent.size, math.prod(self.start_shape), bias=False)
        layers: list[nn.Module] = [normalised(channels[-1]), nn.ReLU()]
        for stage in reversed(range(1, len(grids))):
            for _ in range(depth - 1):
                layers += [same(channels[stage]), normalised(channels[stage]), nn.ReLU()]
            if stage > 1:
                layers += [Enlarge(channels[stage], channels[stage - 1], grids[stage], grids[stage - 1])]
                layers += [normalised(channels[stage - 1]), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        last = min(1, len(grids) - 1)
        self.picture = Enlarge(channels[last], shape[0], grids[last], grids[0])
        draw_weights(self.start, self.layers, self.picture)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        x = self.layers(self.start(self.latent(z, y)).unflatten(1, self.start_shape).permute(0, 3, 1, 2))
        with full_precision(x):
            pictures: Tensor = self.picture(at_least_float32(x)).tanh()
        return pictures


class Discriminator(nn.Module):
    """Pictures (N, C, H, W) and labels to logits (N,): the generator in reverse, with the same `width` and `depth`."""

    def __init__(self, shape: Shape, *, classes: int = 0, width: int, depth: int, spectral_norm: bool = False) -> None:
        super().__init__()
        grids, channels = plan(shape, width, depth)
        last = min(1, len(grids) - 1)
        layers: list[nn.Module] = [Shrink(shape[0], channels[last], grids[0], grids[last], activates=True)]
        for stage in range(1, len(grids)):
            for _ in range(depth - 1):
                layers += [same(channels[stage]), normalised(channels[stage], spectral_norm), LeakyReLU()]
            if stage + 1 < len(grids):
                layers += [Shrink(channels[stage], channels[stage + 1], grids[stage], grids[stage + 1])]
                layers += [normalised(channels[stage + 1], spectral_norm), LeakyReLU()]
        self.layers = nn.Sequential(*layers)
        draw_weights(self.layers)
        self.judge = Head(channels[-1] * grids[-1][0] * grids[-1][1], classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if spectral_norm:
            normalise(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        logits: Tensor = self.judge(self.layers(x).permute(0, 2, 3, 1).flatten(1), y)
        return logits


class Enlarge(nn.Module):
    """A transposed convolution from one grid of a pyramid to the next finer, with stride 2 along sides that grow."""

    def __init__(self, before: int, after: int, coarse: Size, fine: Size) -> None:
        super().__init__()
        self.height, self.width = fine
        taps, strides = geometry(coarse, fine)
        self.convolution = TransposedConvolution(before, after, taps, strides, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, *coarse) to (N, after, *fine); where the finer side is odd, one row too many is cut off."""
        enlarged: Tensor = self.convolution(x)
        return enlarged[:, :, : self.height, : self.width]


class Shrink(nn.Module):
    """A convolution from one grid of a pyramid to the next coarser, with stride 2 along sides that shrink.

    With `activates` a leaky ReLU follows.
    """

    def __init__(self, before: int, after: int, fine: Size, coarse: Size, *, activates: bool = False) -> None:
        super().__init__()
        taps, strides = geometry(coarse, fine)
        self.odd = tuple(stride * short - long for stride, short, long in zip(strides, coarse, fine, strict=True))
        self.convolution = Convolution(before, after, taps, strides, padding=1, bias=False, activates=activates)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, *fine) to (N, after, *coarse); where the finer side is odd, a row of zeros is added."""
        if any(self.odd):  # the library copies also where there is nothing to add
            x = F.pad(x, (0, self.odd[1], 0, self.odd[0]))
        shrunk: Tensor = self.convolution(x)
        return shrunk


class LeakyReLU(nn.Module):
    """`activate` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Element by element."""
        return activate(x)


def geometry(coarse: Size, fine: Size) -> tuple[Size, Size]:
    """Taps and strides that lead from one grid to the other: 4 and 2 along sides that differ, 3 and 1 along others."""
    changes = coarse[0] != fine[0], coarse[1] != fine[1]
    return (3 + changes[0], 3 + changes[1]), (1 + changes[0], 1 + changes[1])


def same(channels: int) -> Convolution:
    """A 3x3 convolution that keeps the shape."""
    return Convolution(channels, channels, 3, padding=1, bias=False)


def normalised(channels: int, spectral_norm: bool = False) -> nn.Module:
    """Normalisation of each sample by itself, or none where the weights are bounded already."""
    return nn.Identity() if spectral_norm else nn.GroupNorm(1, channels)


def draw_weights(*parts: nn.Module) -> None:
    """N(0, 0.02^2) for all weights, as in the paper, section 4."""
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.02)


def plan(shape: Shape, width: int, depth: int, **sizes: int) -> tuple[list[Size], list[int]]:
    """The grids, finest first, and the channels of each (at the picture's own size only where it is the only grid)."""
    check(shape, width=width, depth=depth, **sizes)
    grids = halvings(*shape[1:])
    return grids, [width * 2 ** min(max(stage - 1, 0), DOUBLINGS) for stage in range(len(grids))]
