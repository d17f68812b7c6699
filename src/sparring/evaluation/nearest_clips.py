"""Generated clips beside the training clips that they are nearest to: whether a clip was learnt by heart."""

import torch
from PIL import Image
from torch import Tensor

from sparring.data import to_floats
from sparring.data.clips import Clips
from sparring.errors import MetricError
from sparring.evaluation.galleries import spread
from sparring.footage import sheet
from sparring.networks.pixels import Pixels

SHOWN = 4
"""Generated clips that are looked up."""

MOMENTS = 4
"""Frames of a clip, evenly in time, by which it is compared."""

MOST_FRAMES = 200_000
"""Training frames looked through; of more, clips are taken evenly."""


def nearest_clips(samples: Tensor, training: Clips, n: int = SHOWN) -> Image.Image:
    """The first `n` of the clips uint8 (N, T, C, H, W), each as a row of frames, and below it the nearest part of a
    training clip.

    Nearness is that of the pixels, reduced to 16 a side, at four moments; parts of training clips begin at any frame.

    Raises: MetricError if no training clip is as long as the samples.
    """
    samples = samples[:n].cpu()
    return above(samples, nearest_parts(samples, training))


def above(samples: Tensor, others: Tensor) -> Image.Image:
    """Clips uint8 (n, T, C, H, W), each as a row of frames, and below it that of the other one of the same number."""
    pairs = [sheet(torch.stack(pair)) for pair in zip(samples, others, strict=True)]
    gap = max(4, pairs[0].height // 12)
    # The corner of a grid has the colour of its padding.
    height = len(pairs) * (pairs[0].height + gap) - gap
    whole = pairs[0].crop((0, 0, 1, 1)).resize((pairs[0].width, height))
    for number, pair in enumerate(pairs):
        whole.paste(pair, (0, number * (pair.height + gap)))
    return whole


def nearest_parts(samples: Tensor, training: Clips) -> Tensor:
    """The part of a training clip nearest to each of the samples uint8 (n, T, C, H, W): of the same shape."""
    count, frames = samples.shape[:2]
    long = (training.lengths >= frames).nonzero()[:, 0]
    if not len(long):
        raise MetricError(f"{training.name}: none of its clips has {frames} frames, as the generated ones do")
    usual = int(training.lengths[long].double().mean())
    moments = spread_over(frames)
    ours = pixels(samples[:, moments].flatten(0, 1)).view(count, len(moments), -1)
    least = torch.full((count,), torch.inf)
    nearest = samples.clone()
    for number in long[spread(len(long), max(1, MOST_FRAMES // usual))].tolist():
        clip = training.clip(number)
        theirs = pixels(clip)
        begins = len(clip) - frames + 1
        apart = torch.stack(
            [torch.cdist(ours[:, at], theirs[moment : moment + begins]) for at, moment in enumerate(moments)]
        )
        distance, begin = apart.square().sum(0).min(1)
        for row in (distance < least).nonzero()[:, 0].tolist():
            least[row] = distance[row]
            nearest[row] = clip[begin[row] : int(begin[row]) + frames]
    return nearest


def spread_over(frames: int) -> list[int]:
    """Which of so many frames are compared, the first and the last among them."""
    count = min(frames, MOMENTS)
    return [round(place * (frames - 1) / max(count - 1, 1)) for place in range(count)]


def pixels(frames: Tensor) -> Tensor:
    """Frames uint8 (n, C, H, W) as few numbers (n, D)."""
    return Pixels().pooled(to_floats(frames))
