"""A generator from photographs to paintings, of any size, in one or several styles.

A U-Net of residual blocks on the picture folded by two, as the restorer is; it learns how the photograph is to change,
not at all at first. The encoder sees the photograph and its grain alone; the blocks of the coarsest grid and of the way
up are modulated by the style. No layer normalises, so that a picture comes out the same whole and in tiles.

Sources: Ronneberger et al. 2015 (U-Net); Perez et al. 2018 (modulation by a condition, FiLM, arXiv 1709.07871);
Park et al. 2020 (contrast between places of the encoder's maps, arXiv 2007.15651).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.layers import full_precision, labels_for
from sparring.networks.restorer import extended, whole

FOLD = 2
"""Pixels a side that become channels of one place."""

MOST = 6
"""Channels of the coarsest grids, as a multiple of those of the finest."""

FINE = 16
"""Channels of the picture's own grid, on which the last layer sees the photograph once more."""

STEP = 1 / 127.5
"""Of 8-bit pictures, in [-1, 1]."""

PROJECTED = 128
"""Numbers that a place is projected to before it is compared with others."""


class Block(nn.Module):
    """Adds to a map (N, C, H, W) what two convolutions make of it, nothing at first; y (N, styles) says in what way."""

    def __init__(self, channels: int, styles: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.style = nn.Linear(styles, 2 * channels, bias=False) if styles else None
        nn.init.zeros_(self.second.weight)
        if self.style is not None:
            nn.init.normal_(self.style.weight, std=0.5)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Keeps the shape."""
        inner = self.first(x)
        if self.style is not None:
            scale, shift = self.style(y)[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        added: Tensor = self.second(F.relu(inner))
        return x + added


class Projection(nn.Module):
    """Vectors (..., before) to vectors of length one (..., PROJECTED): two layers, in float32."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.first = nn.Linear(before, PROJECTED)
        self.second = nn.Linear(PROJECTED, PROJECTED)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        with full_precision(x):
            return F.normalize(self.second(F.relu(self.first(x.float()))), dim=-1)


class Translator(nn.Module):
    """Photographs (N, C, H, W) in [-1, 1] and styles y (N, styles) to paintings of the same shape; any H and W.

    width: channels of the finest grid, twice as many with each coarser one, up to six times. depth: blocks of a grid,
    twice as many in the coarsest. levels: grids, each half as fine as the one before. styles: 0 for a single one, for
    which no y is given; rows of y may be mixtures. contrasts: with learned projections of the encoder's maps, as the
    contrastive loss needs them.
    """

    def __init__(
        self, channels: int, *, width: int, depth: int, levels: int, styles: int = 0, contrasts: bool = False
    ) -> None:
        super().__init__()
        self.levels = levels
        widths = [width * min(2**level, MOST) for level in range(levels)]
        self.enter = nn.Conv2d(FOLD**2 * (channels + 1), widths[0], 3, padding=1)
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.down = nn.ModuleList(nn.ModuleList(Block(width) for _ in range(depth)) for width in widths[:-1])
        self.middle = nn.ModuleList(Block(widths[-1], styles) for _ in range(2 * depth))
        self.finer = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ModuleList(Block(width, styles) for _ in range(depth)) for width in widths[:-1])
        self.unfold = nn.Conv2d(widths[0], FINE, 1)
        self.leave = nn.Conv2d(FINE + channels, channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]
        self.projections = nn.ModuleList(Projection(width) for width in widths) if contrasts else None

    def forward(self, x: Tensor, y: Tensor | None = None, strength: float | Tensor = 1.0) -> Tensor:
        """See the class. strength: how far to go from the photograph, at 0, to the painting, at 1; a tensor broadcasts.

        Raises: ValueError if there is no y where styles are known, or one where none are.
        """
        return torch.lerp(x, self.painted(x, self.encoded(x), y), strength)

    @property
    def multiple(self) -> int:
        """Sides that are multiples of it need no padding."""
        return int(FOLD * 2 ** (self.levels - 1))

    def encoded(self, x: Tensor) -> list[Tensor]:
        """The maps of the encoder for pictures (N, C, H, W), finest first."""
        size = whole(x.shape[2:], self.multiple)
        x = extended(torch.cat([x, grain(x)], dim=1), size)
        x = self.enter(F.pixel_unshuffle(x, FOLD).contiguous(memory_format=torch.channels_last))
        maps = []
        for blocks, coarser in zip(self.down, self.coarser, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x)
            maps.append(x)
            x = coarser(x)
        return [*maps, x]

    def painted(self, photographs: Tensor, maps: list[Tensor], y: Tensor | None) -> Tensor:
        """The paintings of photographs (N, C, H, W) that have these `maps`.

        Each value goes a share of its way to white or to black, none at first: what leaves the range of pictures is
        seen by nobody, and a network that got there would learn nothing from then on.
        """
        y = labels_for(self.middle[0].style, y)  # type: ignore[arg-type]
        x = maps[-1]
        for block in self.middle:
            x = block(x, y)
        for level in reversed(range(len(self.up))):
            x = doubled(self.finer[level](x)) + maps[level]
            for block in self.up[level]:  # type: ignore[attr-defined]
                x = block(x, y)
        fine = F.relu(doubled(self.unfold(x)))[:, :, : photographs.shape[2], : photographs.shape[3]]
        share = torch.tanh(self.leave(torch.cat([fine, photographs.to(fine.dtype)], dim=1))).to(photographs.dtype)
        return photographs + share - share.abs() * photographs

    def described(self, maps: list[Tensor], places: Tensor) -> list[Tensor]:
        """The vectors of length one (N, S, PROJECTED) of each map at `places` (N, levels, S), in [0, 1) in row order.

        Only with `contrasts`.
        """
        assert self.projections is not None, "asked only of translators that contrast"
        return [
            project(at_places(x, places[:, level]))
            for level, (x, project) in enumerate(zip(maps, self.projections, strict=True))
        ]


class BothWays(nn.Module):
    """Two translators, `there` to paintings in a style, and `back` to photographs (Zhu et al. 2017, CycleGAN)."""

    def __init__(self, there: Translator, back: Translator) -> None:
        super().__init__()
        self.there, self.back = there, back

    def forward(self, x: Tensor, y: Tensor | None = None, strength: float | Tensor = 1.0) -> Tensor:
        """What is asked for after training: there."""
        made: Tensor = self.there(x, y, strength)
        return made


def grain(x: Tensor) -> Tensor:
    """How much brighter each pixel of pictures (N, C, H, W) is than those around it, in deviations of these.

    A sky is flat, and strokes in it must begin somewhere: what no eye sees in a photograph, a step of its noise, is as
    loud here as an edge. (N, 1, H, W), finite where nothing differs.
    """
    with full_precision(x):
        bright = x.float().mean(1, keepdim=True)
        off = bright - around(bright)
        return off * torch.rsqrt(around(off.square()) + STEP**2)


def around(x: Tensor) -> Tensor:
    """The mean of the 5 x 5 pixels around each; at the border of those that there are."""
    return F.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)


def doubled(x: Tensor) -> Tensor:
    """A map of twice the sides; smooth: channels sorted into pixels would paint a lattice where nothing is."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def at_places(x: Tensor, places: Tensor) -> Tensor:
    """The vectors (N, S, C) of a map (N, C, H, W) at places (N, S), each in [0, 1): from the first to the last place
    in the order of rows."""
    rows = x.flatten(2).mT
    numbers = (places * rows.shape[1]).long().clamp(max=rows.shape[1] - 1)
    return rows.gather(1, numbers[:, :, None].expand(-1, -1, rows.shape[2]))
