"""Pictures of any size through a generator, by overlapping tiles of one size that are blended into each other.

Towards a cut, the `reach` outermost pixels of a tile lack part of what they depend on, and are not used. Between those
of one tile and those of the next lies the seam, over which the one fades into the other linearly, so that not even a
generator that looks at its whole tile leaves an edge. Tiles begin at multiples of what the generator folds or strides
by: elsewhere it would see the same pixels otherwise.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.applying.apparatus import Apparatus
from sparring.data.pictures import to_bytes, to_floats

TILE, LARGEST_TILE = 512, 1024
"""Pixels a side that go through a generator at once: the former, up to the latter for generators of long reach. A
picture that is no larger is not cut."""

SEAM = 32
"""Pixels over which a tile fades into the next, where the overlap is not chosen otherwise."""


@dataclass(frozen=True)
class Stretch:
    """A tile along one side of the picture, in pixels: it sees [start, stop), of which [first, last) are used.

    Its first `fade_in` used pixels are shared with the tile before it, its last `fade_out` with the one after it.
    """

    start: int
    stop: int
    first: int
    last: int
    fade_in: int
    fade_out: int

    def weights(self, scale: int) -> Tensor:
        """What the used pixels, `scale` times as many, count for, (n,); those of all tiles add up to 1 everywhere."""
        weights = torch.ones((self.last - self.first) * scale)
        if self.fade_in:
            weights[: self.fade_in * scale] = ramp(self.fade_in * scale)
        if self.fade_out:
            weights[-self.fade_out * scale :] = 1 - ramp(self.fade_out * scale)
        return weights


def ramp(steps: int) -> Tensor:
    """From 0 to 1, without the ends."""
    return (torch.arange(steps) + 0.5) / steps


def stretches(side: int, tile: int, overlap: int, reach: int, multiple: int) -> list[Stretch]:
    """How a side is cut into tiles of equal size that overlap by at least `overlap`.

    They are no larger than `tile` and as small as their number allows; the last may lack up to `multiple` - 1 pixels,
    which a generator pads by itself. tile, overlap: multiples of `multiple`, with overlap <= tile / 4 and tile >= 16
    multiple, so that no three tiles share a seam.
    """
    if side <= tile:
        return [Stretch(0, side, 0, side, 0, 0)]
    count = -(-(side - overlap) // (tile - overlap))
    size = rounded_up(-(-(side + (count - 1) * overlap) // count), multiple)
    free = rounded_up(side, multiple) - size
    starts = [number * free // (count - 1) // multiple * multiple for number in range(count)]
    seam = max(overlap - 2 * reach, overlap // 8, 1)
    # In the middle of what two neighbours both see, they are equally far from their cuts.
    seams = [before + (size + after - before - seam) // 2 for before, after in pairwise(starts)]
    return [
        Stretch(
            start,
            min(start + size, side),
            seams[number - 1] if number else 0,
            seams[number] + seam if number < count - 1 else side,
            seam if number else 0,
            seam if number < count - 1 else 0,
        )
        for number, start in enumerate(starts)
    ]


def rounded_up(number: int, multiple: int) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


def tiled(
    apparatus: Apparatus,
    pictures: Tensor,
    mask: Tensor | None = None,
    tile: int | None = None,
    overlap: int | None = None,
) -> Tensor:
    """What a generator makes of pictures of one size, uint8 (N, C, H, W) to uint8 (N, C, scale H, scale W), on the CPU.

    mask: bool (H, W), true in holes. tile: about the largest side that goes through at once. overlap: pixels that tiles
    share; twice the reach and a seam if not given, and a quarter of a tile at most. Beside pictures and result, memory
    is needed for one tile, and for a strip as wide as the picture and as high as the seam.
    """
    multiple, scale = apparatus.multiple, apparatus.scale
    overlap = 2 * apparatus.reach + SEAM if overlap is None else overlap
    tile = min(max(TILE, 4 * overlap), LARGEST_TILE) if tile is None else tile
    tile = rounded_up(max(tile, 16 * multiple), multiple)
    overlap = min(rounded_up(max(overlap, 1), multiple), tile // 4 // multiple * multiple)
    count, channels, height, width = pictures.shape
    rows, columns = (stretches(side, tile, overlap, apparatus.reach, multiple) for side in (height, width))
    result = torch.empty((count, channels, height * scale, width * scale), dtype=torch.uint8)
    coarse = overview(apparatus, pictures, mask, tile) if mask is not None and lost(mask, rows, columns) else None
    above = torch.empty(0)
    for row in rows:
        below = torch.empty((count, channels, row.fade_out * scale, width * scale))
        left = torch.empty(0)
        for column in columns:
            window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
            hole = None if mask is None else mask[window]
            if coarse is not None and hole is not None and hole.all():
                made = enlarged(coarse, row, column, (height, width), tile, scale)
            elif hole is None or hole.any() or scale > 1:
                made = through(apparatus, pictures[window], hole)
            else:
                made = to_floats(pictures[window])  # nothing to fill here
            made = made[..., used(row, scale), used(column, scale)]
            made = made * row.weights(scale)[:, None] * column.weights(scale)
            across = slice(column.first * scale, (column.last - column.fade_out) * scale)
            if column.fade_in:
                made[..., : column.fade_in * scale] += left
            # The seam on the right lacks its other half still, on every line: it is given on to the next tile whole.
            cut = made.shape[-1] - column.fade_out * scale
            left, made = made[..., cut:], made[..., :cut]
            if row.fade_in:
                made[..., : row.fade_in * scale, :] += above[..., across]
            cut = made.shape[-2] - row.fade_out * scale
            below[..., across] = made[..., cut:, :]
            result[..., row.first * scale : row.first * scale + cut, across] = to_bytes(made[..., :cut, :])
        above = below
    return result


def used(stretch: Stretch, scale: int) -> slice:
    """The used pixels of a tile's result."""
    return slice((stretch.first - stretch.start) * scale, (stretch.last - stretch.start) * scale)


@torch.no_grad()
def through(apparatus: Apparatus, pictures: Tensor, hole: Tensor | None) -> Tensor:
    """uint8 (N, C, H, W) and bool (H, W) through the generator at once, to float32 (N, C, scale H, scale W)."""
    given = None if hole is None else hole.float().expand(len(pictures), 1, -1, -1)
    return apparatus(to_floats(pictures), given).float().cpu()


def lost(mask: Tensor, rows: list[Stretch], columns: list[Stretch]) -> bool:
    """Whether some tile of several is all hole."""
    several = len(rows) * len(columns) > 1
    return several and any(bool(mask[r.start : r.stop, c.start : c.stop].all()) for r in rows for c in columns)


def overview(apparatus: Apparatus, pictures: Tensor, mask: Tensor, tile: int) -> Tensor:
    """The whole of uint8 (N, C, H, W) filled at a size that fits one tile, float (N, C, scale h, scale w).

    A tile inside a hole shows nothing to go by: it takes its filling from here. A pixel here is known if any of those
    it stands for is, and has the mean of these.
    """
    factor = -(-max(mask.shape) // tile)
    values, holes = [], []
    for top in range(0, len(mask), factor):
        known = ~mask[top : top + factor]
        sums = strip_means(pictures[..., top : top + factor, :].float() * known, factor)
        share = strip_means(known.float().expand(1, 1, -1, -1), factor)
        values.append(sums / share.clamp(min=1e-6))
        holes.append(share[0, 0] == 0)
    return through(apparatus, torch.cat(values, dim=2).round().to(torch.uint8), torch.cat(holes))


def strip_means(strip: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) to (N, C, 1, ceil(W / factor)), H at most the factor; the last mean is of what is there."""
    return F.avg_pool2d(strip, (strip.shape[2], factor), ceil_mode=True)


def enlarged(coarse: Tensor, row: Stretch, column: Stretch, size: tuple[int, int], tile: int, scale: int) -> Tensor:
    """What a tile sees of the overview of a picture of `size`, float (N, C, h, w), linear between its pixels."""
    factor = -(-max(size) // tile)
    y, x = (
        2 * (torch.arange(stretch.start * scale, stretch.stop * scale) + 0.5) / (factor * length) - 1
        for stretch, length in zip((row, column), coarse.shape[2:], strict=True)
    )
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    return F.grid_sample(
        coarse, grid.expand(len(coarse), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
    )
