"""Players for clips: what is seen in one and how it moves are apart, in the noise and in the generator.

A clip has one content z, and at each moment t a motion m(t) (Tulyakov et al. 2018, MoCoGAN). The blocks are those of
R3GAN. Content sets how strong their channels are, in all of them, and between which colours a clip's pixels lie; motion
alone changes from frame to frame: so a thing keeps its colour and shape because nothing tells it otherwise.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks import FAMILIES
from sparring.networks.layers import (
    GAIN,
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
from sparring.networks.motion import Motion
from sparring.networks.r3 import EXPANSION, MOST_CHANNELS, Block, Change, linear

COARSEST = 8
"""Least side of the coarsest grid: on a coarser one, places are hard to tell apart."""

GROUPS = 8
"""Parts of the first channels that move each by itself."""

FASTEST = 1.5
"""Waves from the middle of a picture to its edge, at most."""

CHANGING = 4
"""Every such channel at the beginning is as strong as content and motion say; the others as content alone says."""

STYLED = 0.5
"""Standard deviation, at first, of what a channel is multiplied by; the mean is 1."""


PALETTES = 0.3
"""Standard deviation, at first, of the least and the most that pixels of a clip are, which are -1 and 1 in the mean."""


class Generator(nn.Module):
    """Content z (N, z_dim), motion noise (N, A, motion_dim) and times (N, K) in seconds to frames (N, K, C, H, W).

    Each colour of a pixel lies between two ends that content alone sets, and saturates there: what is drawn at full
    strength has the same colour in all frames, however it moves.

    `width` is the number of channels at the picture's own size, a multiple of 8; it doubles with each coarser grid.
    `depth` is the number of blocks at each size. `spacing`: seconds between the anchors of the motion, see `Motion`.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        z_dim: int,
        motion_dim: int,
        spacing: float,
        classes: int = 0,
        width: int,
        depth: int,
    ) -> None:
        super().__init__()
        check(shape, width=width, depth=depth, z_dim=z_dim, motion_dim=motion_dim)
        grids = coarse_enough(halvings(*shape[1:]))
        channels = widths(width, len(grids), MOST_CHANNELS)
        blocks = depth * len(grids)
        self.motion = Motion(motion_dim, spacing)
        self.latent = Latent(z_dim, classes)
        self.content = mapping(self.latent.size, 2 * z_dim, z_dim)
        self.meeting = mapping(z_dim + motion_dim, 2 * (z_dim + motion_dim), 2 * (z_dim + motion_dim))
        self.start = MovingWaves(channels[-1], grids[-1], z_dim, 2 * (z_dim + motion_dim))
        layers: list[nn.Module] = [StyledBlock(channels[-1], blocks, z_dim) for _ in range(depth)]
        for stage in reversed(range(len(grids) - 1)):
            layers.append(Change(channels[stage + 1], channels[stage], grids[stage], grows=True))
            layers.extend(StyledBlock(channels[stage], blocks, z_dim) for _ in range(depth))
        self.layers = nn.ModuleList(layers)
        self.colours = styling(z_dim, channels[0], spread=1.0)
        self.picture = linear(channels[0], shape[0])
        self.level = nn.Parameter(torch.zeros(shape[0], 1, 1))
        self.palette = nn.Linear(z_dim, 2 * shape[0])
        draw_weights(self.palette, gain=PALETTES)
        with torch.no_grad():
            self.palette.bias.view(2, -1).copy_(torch.tensor([[-1.0], [1.0]]))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, noise: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        moments = times.shape[1]
        latent = self.latent(z, y)
        content = self.content(latent * torch.rsqrt(latent.square().mean(1, keepdim=True) + 1e-8))
        content = content[:, None].expand(-1, moments, -1).flatten(0, 1)
        motion = self.motion(noise, times).flatten(0, 1).to(content.dtype)
        x = self.start(content, activate(self.meeting(torch.cat([content, motion], 1))))
        for layer in self.layers:
            x = layer(x, content) if isinstance(layer, StyledBlock) else layer(x)
        with full_precision(x):
            content = at_least_float32(content)
            strengths = 1 + self.colours(content)[:, :, None, None]
            levels = torch.sigmoid(self.picture(at_least_float32(x) * strengths) + self.level)
            least, most = self.palette(content).view(-1, 2, len(self.level), 1, 1).unbind(1)
            pictures: Tensor = least + (most - least) * levels
        frames: Tensor = pictures.unflatten(0, (-1, moments))  # type: ignore[no-untyped-call]
        return frames


class MovingWaves(nn.Module):
    """Waves over the coarsest grid, in frames of reference that motion shifts, turns and stretches.

    Fourier features as the first layer, moved by an affine map, are those of StyleGAN3 (Karras et al. 2021, section 3);
    here the map follows the motion. All waves move as a whole, and at first a little, each group in its own way: where
    groups move apart, what they add up to changes its looks.
    """

    frequencies: Tensor
    phases: Tensor
    coordinates: Tensor

    def __init__(self, channels: int, grid: tuple[int, int], z_dim: int, meeting: int) -> None:
        super().__init__()
        angles, radii, phases = 2 * math.pi * torch.rand(channels), torch.rand(channels).sqrt(), torch.rand(channels)
        waves = math.pi * FASTEST * radii[:, None] * torch.stack([angles.cos(), angles.sin()], 1)
        self.register_buffer("frequencies", waves.view(GROUPS, channels // GROUPS, 2))
        self.register_buffer("phases", 2 * math.pi * phases[:, None, None])
        lines = [torch.linspace(-1, 1, side) for side in grid]
        self.register_buffer("coordinates", torch.stack(torch.meshgrid(*lines, indexing="ij"), 2))
        self.whole = nn.Linear(meeting, 6)
        self.parts = nn.Linear(meeting, GROUPS * 6)
        self.steady = nn.Linear(z_dim, channels, bias=False)
        self.changing = nn.Linear(meeting, channels // CHANGING, bias=False)
        draw_weights(self.whole, gain=0.5)
        draw_weights(self.parts, gain=0.1)
        draw_weights(self.steady, gain=1)
        draw_weights(self.changing, gain=1)

    def forward(self, content: Tensor, meeting: Tensor) -> Tensor:
        """Content (N, z_dim), and what became of content and motion together, to (N, channels, h, w)."""
        with full_precision(content):
            content, meeting = at_least_float32(content), at_least_float32(meeting)
            pose = self.whole(meeting).view(-1, 1, 6) + self.parts(meeting).view(-1, GROUPS, 6)
            turned = torch.eye(2, device=pose.device) + 0.3 * pose[..., 2:].unflatten(2, (2, 2))
            places = self.coordinates - pose[:, :, None, None, :2]
            places = torch.einsum("nghwe,ngef->nghwf", places, turned)
            waves = torch.einsum("nghwe,gce->ngchw", places, self.frequencies).flatten(1, 2)
            changes = F.pad(self.changing(meeting)[:, :, None], (0, CHANGING - 1)).flatten(1)
            strengths = math.sqrt(2) * (self.steady(content) + changes)
            x: Tensor = strengths[:, :, None, None] * torch.sin(waves + self.phases)
        return x.contiguous(memory_format=torch.channels_last)


class StyledBlock(Block):
    """The block of R3GAN, in which content multiplies the channels inside."""

    def __init__(self, channels: int, blocks: int, z_dim: int) -> None:
        super().__init__(channels, blocks)
        self.style = styling(z_dim, EXPANSION * channels, STYLED)

    def forward(self, x: Tensor, content: Tensor) -> Tensor:  # type: ignore[override]
        """Keeps the shape (N, channels, h, w)."""
        wide = activate(self.expand(x)) * (1 + self.style(content))[:, :, None, None]
        branch: Tensor = self.project(activate(self.mix(wide)))
        return x + branch


class Discriminator(nn.Module):
    """K frames (N, C, H, W) and the seconds between them (N, K - 1) to logits (N,): all are seen at once.

    To a discriminator of pictures all frames of a clip are the channels of one: it costs what a picture costs, and
    sees from its first layer on what changes. Changes from frame to frame come along as such, and each time between
    two as a channel of its own (times tell what is a likely change: Skorokhodov et al. 2022, section 3.3).
    `network`: a name of `FAMILIES`.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        seen: int,
        classes: int = 0,
        width: int,
        depth: int,
        network: str,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        channels = shape[0] * (2 * seen - 1) + seen - 1
        self.judge = FAMILIES[network].discriminator(
            (channels, *shape[1:]), classes=classes, width=width, depth=depth, spectral_norm=spectral_norm
        )

    def forward(self, *parts: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        *frames, gaps = parts
        changes = [later - earlier for earlier, later in pairwise(frames)]
        times = gaps.to(frames[0].dtype)[:, :, None, None].expand(-1, -1, *frames[0].shape[2:])
        logits: Tensor = self.judge(torch.cat([*frames, *changes, times], 1), y)
        return logits


def coarse_enough(grids: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The grids, finest first, without those that have a side below `COARSEST`; the finest stays."""
    return grids[:1] + [grid for grid in grids[1:] if min(grid) >= COARSEST]


def mapping(before: int, inside: int, after: int) -> nn.Sequential:
    """A dense network of two layers that keeps the variance."""
    layers = nn.Linear(before, inside), nn.Linear(inside, after)
    for layer in layers:
        draw_weights(layer, GAIN)
    return nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1])


def styling(z_dim: int, channels: int, spread: float) -> nn.Linear:
    """What channels are multiplied by, less 1."""
    layer = nn.Linear(z_dim, channels)
    draw_weights(layer, gain=spread)
    return layer
