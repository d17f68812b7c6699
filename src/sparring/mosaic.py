"""Many small pictures on one: previews, `sample --out x.png`, and the pictures of the report."""

import math

import torch
from PIL import Image
from torch import Tensor

from sparring.data import to_floats
from sparring.metrics.manifold import neighbours
from sparring.networks.pixels import Pixels

WIDE = 768
"""Pixels that a grid fills at most by enlarging; pictures that need more keep their size."""

PADDING = 4
"""Pixels of grey around each picture."""

GREY = 128

CHUNK = 16_384
"""Training pictures looked through at a time."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def grid(images: Tensor, columns: int | None = None, padding: int = PADDING, scale: int | None = None) -> Image.Image:
    """Lays out pictures uint8 (N, C, H, W), C = 1, 3 or 4, in rows of `columns` (about as wide as high by default).

    Each picture is enlarged `scale` times, pixel by pixel; by default as far as the grid stays within 768 x 768.
    Pictures are never reduced. `padding` pixels of grey (transparent with 4 channels) go around and between them.

    Raises: ValueError for no pictures, another type or another number of channels.
    """
    if images.ndim != 4 or images.dtype != torch.uint8 or not len(images) or images.shape[1] not in MODES:
        raise ValueError(f"pictures are {images.dtype} {tuple(images.shape)}; expected uint8 (N >= 1, 1 | 3 | 4, H, W)")
    count, channels, height, width = images.shape
    columns = min(columns, count) if columns else full_columns(count, height / width)
    rows = math.ceil(count / columns)
    scale = scale or max(1, min(_fit(columns, width, padding), _fit(rows, height, padding)))
    cell_height, cell_width = height * scale + padding, width * scale + padding

    sheet = torch.full(
        (channels, rows * cell_height + padding, columns * cell_width + padding), GREY, dtype=torch.uint8
    )
    if channels == 4:
        sheet.zero_()
    enlarged = images.cpu().repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    for number, picture in enumerate(enlarged):
        top, left = (padding + number // columns * cell_height, padding + number % columns * cell_width)
        sheet[:, top : top + height * scale, left : left + width * scale] = picture
    # Pillow infers the mode from the shape: (H, W), (H, W, 3) or (H, W, 4).
    return Image.fromarray(sheet.permute(1, 2, 0).squeeze(2).contiguous().numpy())


def full_columns(count: int, proportion: float) -> int:
    """Columns that make `count` pictures, `proportion` times as high as wide, about a square.

    Within a quarter of that the number with the fewest empty places in the last row wins.
    """
    ideal = math.sqrt(count * proportion)
    candidates = range(max(1, round(ideal * 0.75)), min(count, max(1, round(ideal * 1.25))) + 1)
    return min(candidates, key=lambda columns: (-count % columns, abs(columns - ideal)), default=count)


def nearest_grid(samples: Tensor, training: Tensor, n: int = 8, count: int = 3) -> Image.Image:
    """The first `n` samples in a row, and below each its `count` nearest training pictures, nearest on top.

    samples (S, C, H, W) and training (N, C, H, W) are uint8 and of one shape. Nearness is that of the pixels,
    reduced to 16 a side. A sample that looks like the picture under it was learnt by heart.

    Raises: MetricError for no training pictures, or pictures of another shape.
    """
    samples = samples[:n].cpu()
    found = training[_nearest_pictures(samples, training, count).T.flatten().to(training.device)].cpu()
    return above_others(samples, found)


def above_others(samples: Tensor, others: Tensor) -> Image.Image:
    """Samples uint8 (S, C, H, W) in a row, and below them the others (n * S, C, H, W), row by row, after a gap."""
    columns, (height, width) = len(samples), samples.shape[2:]
    scale = max(1, min(_fit(columns, width, PADDING), _fit(1 + len(others) // columns, height, PADDING)))
    above, below = grid(samples, columns, scale=scale), grid(others, columns, scale=scale)
    gap = max(4, height * scale // 8)
    # The corner of a grid has the colour of its padding.
    both = above.crop((0, 0, 1, 1)).resize((above.width, above.height + gap + below.height))
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height + gap))
    return both


def _nearest_pictures(samples: Tensor, training: Tensor, count: int) -> Tensor:
    """Indices (N, count) of the training pictures nearest to each sample, nearest first; fewer if there are fewer.

    In chunks, since the features of a large set (which may be memory-mapped) would not fit into memory.
    """
    features = _pixels(samples)
    distances, indices = [], []
    for start in range(0, max(len(training), 1), CHUNK):
        chunk = training[start : start + CHUNK]
        distance, index = neighbours(features, _pixels(chunk), max(1, min(count, len(chunk))))
        distances.append(distance)
        indices.append(start + index)
    columns = torch.cat(distances, 1).argsort(dim=1, stable=True)[:, :count]
    return torch.cat(indices, 1).gather(1, columns)


def _pixels(images: Tensor) -> Tensor:
    return Pixels().pooled(to_floats(images))


def _fit(number: int, side: int, padding: int) -> int:
    return (WIDE - padding * (number + 1)) // (number * side)
