"""A generator from pictures to pictures of any size: damaged ones in, whole ones out.

A U-Net of residual blocks on the picture folded by two, which makes every layer four times as cheap; it learns what is
to be added to its input. The two things that holes ask for are not learned: the input is first filled by what solves
Laplace's equation on a pyramid, and every block of the coarsest grid hears the mean over the whole picture, so that the
receptive field has no end. Neither normalises over a batch nor needs a Fourier transform, so that it exports. Nor are
brightness and contrast learned: it sees a picture with holes from the mean of what is known, in units of how much that
varies.

Sources: Ronneberger et al. 2015 (U-Net); Shi et al. 2016 (folding pixels into channels, arXiv 1609.05158); Zhang et al.
2017 (residual learning of noise, arXiv 1608.03981).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.filling import fill

LEAST_DEVIATION = 0.02
"""Of what is known, in the range [-1, 1]: a picture that varies less is not seen any larger."""

MOST = 6
"""Channels of the coarsest grids, as a multiple of those of the finest."""


class Block(nn.Module):
    """Adds to a map (N, C, H, W) what two convolutions make of it, nothing at first.

    everywhere: they are told the mean of the map over all places too.
    """

    def __init__(self, channels: int, everywhere: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.mean = nn.Linear(channels, channels) if everywhere else None
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps the shape."""
        inner = self.first(x)
        if self.mean is not None:
            inner = inner + self.mean(x.mean((2, 3)))[:, :, None, None]
        added: Tensor = self.second(F.relu(inner))
        return x + added


class Restorer(nn.Module):
    """Pictures (N, C, H, W) in [-1, 1] to pictures (N, C, scale H, scale W), about in the same range; any H and W.

    width: channels of the finest grid, twice as many with each coarser one, up to six times. depth: blocks of a grid,
    twice as many in the coarsest. levels: grids, each half as fine as the one before. fold: pixels a side that make one
    place of the finest. With `holes` a mask (N, 1, H, W)
    is given too, 1 where pixels are unknown; what stands there makes no difference, and what is known comes back as it
    was. A picture a x + b is then restored to a times what x is restored to, plus b in each channel.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int,
        depth: int,
        levels: int,
        fold: int = 2,
        scale: int = 1,
        holes: bool = False,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.scale, self.holes, self.levels = scale, holes, levels
        widths = [width * min(2**level, MOST) for level in range(levels)]
        seen = fold**2 * (channels + holes)
        self.enter = nn.Conv2d(seen, widths[0], 3, padding=1)
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.down = nn.ModuleList(blocks(width, depth) for width in widths[:-1])
        self.middle = blocks(widths[-1], 2 * depth, everywhere=holes)
        self.finer = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(blocks(width, depth) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], (fold * scale) ** 2 * channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class. Raises ValueError if there is no mask where one is asked for, or one where none is."""
        if (mask is not None) != self.holes:
            raise ValueError(
                "this restorer fills holes, and needs a mask" if self.holes else "this restorer takes no mask"
            )
        height, width = x.shape[2:]
        shape = whole(x.shape[2:], self.multiple)
        padded = extended(x, shape)
        seen, given = padded, x
        if mask is not None:
            unknown = extended(mask, shape)
            mean, deviation = moments(padded, 1 - unknown)
            padded = fill(padded, unknown)
            # Two of them, so that most of what is seen lies in [-1, 1].
            standard = (padded - mean) / (2 * deviation)
            seen, given = torch.cat([standard, unknown], dim=1), padded[:, :, :height, :width]
        made = self.residual(seen)[:, :, : height * self.scale, : width * self.scale]
        if mask is not None:
            made = made.to(given.dtype) * (2 * deviation)
        if self.scale > 1:
            given = F.interpolate(given, scale_factor=self.scale, mode="bicubic", align_corners=False)
        restored = given + made.to(given.dtype)
        return restored if mask is None else torch.lerp(x, restored, mask)

    @property
    def multiple(self) -> int:
        """Sides that are multiples of it need no padding."""
        return int(self.fold * 2 ** (self.levels - 1))

    def residual(self, seen: Tensor) -> Tensor:
        """What is to be added, (N, C, scale H, scale W); H and W are multiples of `multiple`."""
        x = self.enter(F.pixel_unshuffle(seen, self.fold).contiguous(memory_format=torch.channels_last))
        kept = []
        for down, coarser in zip(self.down, self.coarser, strict=True):
            kept.append(down(x))
            x = coarser(kept[-1])
        x = self.middle(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](F.pixel_shuffle(self.finer[level](x), 2) + kept[level])
        return F.pixel_shuffle(self.leave(x), self.fold * self.scale)


def moments(x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each channel (N, C, 1, 1), and the deviation from it (N, 1, 1, 1) over all of them, of known pixels.

    x: (N, C, H, W); known: (N, 1, H, W), 1 or 0. Of a picture without any the mean is 0; see also `LEAST_DEVIATION`.
    """
    count = known.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (x * known).sum((2, 3), keepdim=True) / count
    squares = ((x - mean) * known).square().sum((2, 3), keepdim=True) / count
    return mean, squares.mean(1, keepdim=True).clamp(min=LEAST_DEVIATION**2).sqrt()


def whole(sides: Sequence[int], multiple: int) -> list[int]:
    """The sides, each rounded up to a multiple; not by negative numbers, which ONNX divides otherwise."""
    return [(side + multiple - 1) // multiple * multiple for side in sides]


def extended(x: Tensor, size: list[int]) -> Tensor:
    """(N, C, H, W) with its last row and column repeated until it is (N, C, *size).

    By places rather than by padding, whose amount an export would fix.
    """
    for dimension, side in zip((2, 3), size, strict=True):
        places = torch.arange(side, device=x.device).clamp(max=x.shape[dimension] - 1)
        x = x.index_select(dimension, places)
    return x


def blocks(channels: int, count: int, everywhere: bool = False) -> nn.Sequential:
    """So many blocks, one after the other."""
    return nn.Sequential(*(Block(channels, everywhere) for _ in range(count)))
