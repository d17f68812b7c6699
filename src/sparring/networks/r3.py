"""The networks of R3GAN (Huang et al. 2024, arXiv 2501.05441): ResNeXt-like, without normalisation.

Their residual branches end in zeros (fix-up initialisation, Zhang et al. 2019), so that both players start as a short
linear network and grow from there. Resampling is bilinear; biases come before activations only.
"""

import torch
from torch import Tensor, nn

from sparring.errors import SettingError
from sparring.networks.convolution import Convolution
from sparring.networks.layers import (
    GAIN,
    Head,
    Latent,
    Shape,
    at_least_float32,
    check,
    draw_weights,
    full_precision,
    halvings,
    resize,
    widths,
)
from sparring.networks.spectral import normalise

EXPANSION = 2
"""How many times wider a block is inside."""

GROUP = 16
"""Channels a group of the grouped convolutions: 96 groups for 768 channels expanded twofold, as in the paper."""

MOST_CHANNELS = 768


class Block(nn.Module):
    """x + project(activate(grouped 3x3(activate(expand(x))))): an inverted bottleneck, zero at first.

    `blocks` is how many the network has: with m = 3 layers in a branch, the others than the last are scaled by
    blocks^(-1 / (2 m - 2)) (Zhang et al. 2019, section 3.3).
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.expand = Convolution(channels, wide, 1, activates=True)
        self.mix = Convolution(wide, wide, 3, padding=1, groups=wide // GROUP, activates=True)
        self.project = Convolution(wide, channels, 1, bias=False)
        draw_weights(self.expand, GAIN * blocks**-0.25)
        draw_weights(self.mix, GAIN * blocks**-0.25)
        draw_weights(self.project, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape (N, channels, h, w)."""
        branch: Tensor = self.project(self.mix(self.expand(x)))
        return x + branch


class Change(nn.Module):
    """Takes (N, before, h, w) to (N, after, *size), with a 1x1 convolution at the smaller size if channels differ."""

    def __init__(self, before: int, after: int, size: tuple[int, int], *, grows: bool) -> None:
        super().__init__()
        self.mix = None if before == after else linear(before, after)
        self.size = size
        self.grows = grows

    def forward(self, x: Tensor) -> Tensor:
        """Mixes channels, then enlarges; or shrinks, then mixes."""
        if not self.grows:
            x = resize(x, self.size)
        if self.mix is not None:
            x = self.mix(x)
        return resize(x, self.size) if self.grows else x


class Generator(nn.Module):
    """z (N, z_dim) and labels to pictures (N, C, H, W), about in [-1, 1] once trained, not bounded.

    `width` is the number of channels at the picture's own size, a multiple of 8; it doubles with each halving, up to
    768 (or `width` if that is more). `depth` is the number of blocks at each size. The paper has depth 2, z_dim 64,
    and width 768 for CIFAR-10, 384 for faces at 64x64, 96 for faces at 256x256, 1152 for ImageNet.
    """

    def __init__(self, shape: Shape, *, z_dim: int, classes: int = 0, width: int, depth: int) -> None:
        super().__init__()
        grids, channels = plan(shape, width, depth, z_dim=z_dim)
        coarsest = channels[-1]
        self.latent = Latent(z_dim, classes)
        self.modulation = nn.Linear(self.latent.size, coarsest, bias=False)
        draw_weights(self.modulation, gain=1)
        self.basis = nn.Parameter(torch.randn(coarsest, *grids[-1]))
        blocks = depth * len(grids)
        layers: list[nn.Module] = [Block(coarsest, blocks) for _ in range(depth)]
        for stage in reversed(range(len(grids) - 1)):
            layers.append(Change(channels[stage + 1], channels[stage], grids[stage], grows=True))
            layers.extend(Block(channels[stage], blocks) for _ in range(depth))
        self.layers = nn.Sequential(*layers)
        self.picture = linear(channels[0], shape[0])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        strengths = self.modulation(self.latent(z, y))
        start = strengths[:, :, None, None] * self.basis
        x = self.layers(start.contiguous(memory_format=torch.channels_last))
        with full_precision(x):
            pictures: Tensor = self.picture(at_least_float32(x))
        return pictures


class Discriminator(nn.Module):
    """Pictures (N, C, H, W) and labels to logits (N,): the generator in reverse, with the same `width` and `depth`."""

    def __init__(self, shape: Shape, *, classes: int = 0, width: int, depth: int, spectral_norm: bool = False) -> None:
        super().__init__()
        grids, channels = plan(shape, width, depth)
        blocks = depth * len(grids)
        layers: list[nn.Module] = [linear(shape[0], channels[0])]
        for stage in range(len(grids) - 1):
            layers.extend(Block(channels[stage], blocks) for _ in range(depth))
            layers.append(Change(channels[stage], channels[stage + 1], grids[stage + 1], grows=False))
        layers.extend(Block(channels[-1], blocks) for _ in range(depth))
        self.layers = nn.Sequential(*layers)
        # One filter a channel over the whole grid, the counterpart of the generator's basis.
        self.basis = nn.Conv2d(channels[-1], channels[-1], grids[-1], groups=channels[-1], bias=False)
        draw_weights(self.basis, gain=1)
        self.judge = Head(channels[-1], classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if spectral_norm:
            normalise(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        x = self.layers(x)
        with full_precision(x):
            features = (at_least_float32(x) * self.basis.weight.squeeze(1)).sum((2, 3))
        logits: Tensor = self.judge(features, y)
        return logits


def linear(before: int, after: int) -> Convolution:
    """A 1x1 convolution that keeps the variance."""
    layer = Convolution(before, after, 1, bias=False)
    draw_weights(layer, gain=1)
    return layer


def plan(shape: Shape, width: int, depth: int, **sizes: int) -> tuple[list[tuple[int, int]], list[int]]:
    """The grids, finest first, and the channels of each. Raises SettingError for what cannot be built."""
    check(shape, width=width, depth=depth, **sizes)
    if EXPANSION * width % GROUP:
        raise SettingError(f"width = {width}; for the r3 network it must be a multiple of {GROUP // EXPANSION}")
    grids = halvings(*shape[1:])
    return grids, widths(width, len(grids), MOST_CHANNELS)
