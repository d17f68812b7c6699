"""Networks that make the most of each second of a CPU: dense layers on few, coarse grids.

A CPU is fast at large matrix products, and slow at grouped convolutions and at many pixels of few channels. So
pictures are cut into patches, whose pixels become channels, and the finest grid has a fraction of the picture's sides.
Cutting goes on, to half the sides and twice the channels each time, down to about 4x4; there one cut more makes a
single vector, on which a residual MLP works. A tiny picture, up to about 10x10, is one patch: there is the MLP alone.

All residual branches have two layers, the second zero at first and the first scaled down with the number of branches,
in the manner of fix-up initialisation (Zhang et al. 2019), so that no normalisation is needed, as in R3GAN.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.convolution import Convolution, lowered, product
from sparring.networks.layers import (
    GAIN,
    Head,
    Latent,
    Shape,
    activate,
    at_least_float32,
    check,
    draw_weights,
    full_precision,
    halvings,
    widths,
)
from sparring.networks.spectral import normalise

TINY = 100
"""Pixels up to which a picture is one patch."""

FINEST = 16
"""The longest side of the finest grid: patches have 2x2 pixels up to pictures of 32x32, 4x4 up to 64x64, and so on."""

MOST_CHANNELS = 512

PICTURE_TAPS = 3
"""Patches of the picture are made and seen together with their neighbours, or their edges would show."""


@dataclass(frozen=True)
class Grid:
    """A level between picture and vector: `channels` at each of `height` x `width` places."""

    channels: int
    height: int
    width: int

    @property
    def is_vector(self) -> bool:
        """Whether there is one place only."""
        return self.height == self.width == 1


class Generator(nn.Module):
    """z (N, z_dim) and labels to pictures (N, C, H, W), about in [-1, 1] once trained, not bounded.

    `width` is the number of channels of the finest grid, or of the MLP where that is all; it doubles with each coarser
    grid, and once more for the vector, up to 512. `depth` is the number of residual blocks on each of them.
    """

    def __init__(self, shape: Shape, *, z_dim: int, classes: int = 0, width: int, depth: int) -> None:
        super().__init__()
        picture, *grids = levels(shape, width, depth, z_dim=z_dim)
        branches = depth * len(grids)
        self.latent = Latent(z_dim, classes)
        self.start = Dense(self.latent.size, grids[-1].channels)
        draw_weights(self.start, gain=1)
        layers: list[nn.Module] = []
        for fine, coarse in reversed(list(pairwise(grids))):
            layers += [Block(coarse, branches) for _ in range(depth)]
            layers += [Join(coarse, fine)]
        layers += [Block(grids[0], branches) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.picture = Join(grids[0], picture, PICTURE_TAPS)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        x = activate(self.layers(self.start(self.latent(z, y))))
        with full_precision(x):
            pictures: Tensor = self.picture(at_least_float32(x))
        return pictures


class Discriminator(nn.Module):
    """Pictures (N, C, H, W) and labels to logits (N,): the generator in reverse, with the same `width` and `depth`."""

    def __init__(self, shape: Shape, *, classes: int = 0, width: int, depth: int, spectral_norm: bool = False) -> None:
        super().__init__()
        picture, *grids = levels(shape, width, depth)
        branches = depth * len(grids)
        layers: list[nn.Module] = [Cut(picture, grids[0], PICTURE_TAPS)]
        layers += [Block(grids[0], branches) for _ in range(depth)]
        for fine, coarse in pairwise(grids):
            layers += [Cut(fine, coarse)]
            layers += [Block(coarse, branches) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.judge = Head(grids[-1].channels, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if spectral_norm:
            normalise(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        logits: Tensor = self.judge(activate(self.layers(x)).flatten(1), y)
        return logits


class Block(nn.Module):
    """x + second(activate(first(activate(x)))): two 3x3 convolutions, or two dense layers on a vector; zero at first.

    `branches` is how many the network has; the first layer is scaled by branches^(-1/4).
    """

    def __init__(self, grid: Grid, branches: int) -> None:
        super().__init__()
        if grid.is_vector:
            self.first: nn.Linear | nn.Conv2d = Dense(grid.channels, 2 * grid.channels, activates=True)
            self.second: nn.Linear | nn.Conv2d = Dense(2 * grid.channels, grid.channels)
        else:
            self.first = Convolution(grid.channels, grid.channels, 3, padding=1, activates=True)
            self.second = Convolution(grid.channels, grid.channels, 3, padding=1)
        draw_weights(self.first, GAIN * branches**-0.25)
        draw_weights(self.second, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        branch: Tensor = self.second(self.first(activate(x)))
        return x + branch


class Cut(nn.Module):
    """From a grid to a coarser one: patches become places, by a convolution over `taps` x `taps` patches."""

    def __init__(self, fine: Grid, coarse: Grid, taps: int = 1) -> None:
        super().__init__()
        self.height, self.width = patch_size(fine, coarse)
        self.missing = (coarse.width * self.width - fine.width, coarse.height * self.height - fine.height)
        self.mix = linear(fine.channels * self.height * self.width, coarse.channels, coarse, taps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width) of the fine grid to that of the coarse; zeros fill patches beyond the edge."""
        # Lowered and with channels side by side it is cut several times quicker, and the layer wants both anyway.
        x = lowered(x).contiguous(memory_format=torch.channels_last)
        right, bottom = self.missing
        if right or bottom:
            x = F.pad(x, (0, right, 0, bottom))
        x = x.reshape(*x.shape[:2], x.shape[2] // self.height, self.height, x.shape[3] // self.width, self.width)
        mixed: Tensor = self.mix(x.permute(0, 2, 4, 3, 5, 1).flatten(3).permute(0, 3, 1, 2))
        return mixed


class Join(nn.Module):
    """From a grid to a finer one, the reverse of `Cut`: places become patches, by a convolution over places."""

    def __init__(self, coarse: Grid, fine: Grid, taps: int = 1) -> None:
        super().__init__()
        self.fine = fine
        self.height, self.width = patch_size(fine, coarse)
        self.mix = linear(coarse.channels, fine.channels * self.height * self.width, coarse, taps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width) of the coarse grid to that of the fine; what lies beyond the edge is cut off."""
        patches = self.mix(x).permute(0, 2, 3, 1).unflatten(3, (self.height, self.width, self.fine.channels))
        joined: Tensor = patches.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
        return joined[:, :, : self.fine.height, : self.fine.width]


class Dense(nn.Linear):
    """A linear layer on grids of one place (N, channels, 1, 1): what a 1x1 convolution does, in less time.

    With `activates` a leaky ReLU follows, the one of `activate`.
    """

    def __init__(self, before: int, after: int, *, activates: bool = False) -> None:
        super().__init__(before, after)
        self.activates = activates

    def forward(self, x: Tensor) -> Tensor:
        """Takes (N, channels) too."""
        mix = product if self.activates else F.linear
        return mix(x.flatten(1), self.weight, self.bias)[:, :, None, None]


def linear(before: int, after: int, grid: Grid, taps: int) -> nn.Linear | nn.Conv2d:
    """A convolution over the places of a grid, or a dense layer where there is one place, that keeps the variance."""
    layer = Dense(before, after) if grid.is_vector else Convolution(before, after, taps, padding=taps // 2)
    draw_weights(layer, gain=1)
    return layer


def patch_size(fine: Grid, coarse: Grid) -> tuple[int, int]:
    """Height and width of the patches of the fine grid that become the places of the coarse one."""
    return -(-fine.height // coarse.height), -(-fine.width // coarse.width)


def levels(shape: Shape, width: int, depth: int, **sizes: int) -> list[Grid]:
    """The picture, the grids from the finest on, and the vector. Raises SettingError for what cannot be built."""
    check(shape, width=width, depth=depth, **sizes)
    channels, picture_height, picture_width = shape
    places = [(1, 1)]
    if picture_height * picture_width > TINY:
        patch = 2
        while max(picture_height, picture_width) > FINEST * patch:
            patch *= 2
        places = [*halvings(-(-picture_height // patch), -(-picture_width // patch)), (1, 1)]
    wide = widths(width, len(places), MOST_CHANNELS)
    grids = [Grid(many, *size) for many, size in zip(wide, places, strict=True)]
    return [Grid(channels, picture_height, picture_width), *grids]
