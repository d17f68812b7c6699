"""How things move in clips: optical flow, and how far the speeds in generated clips are from those in real ones."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.estimate import Z95, Estimate, distance_interval

COARSEST = 8
"""Pixels of the shorter side below which pictures are not reduced: flow is found on a pyramid, from coarse to fine."""

WARPS = 3
"""Times that the second picture is brought back by the flow so far, at each size."""

SIGMA, RADIUS = 1.5, 4
"""Of the Gaussian window, in pixels, whose content moves as one."""

RIDGE = 4.0
"""Squared slope, in grey levels a pixel, added to what is seen: where there is less, nothing is taken to move."""

VISIBLE = 64.0
"""Squared slope at which a place counts half: the flow of plain areas is a guess."""

LARGEST_SIDE = 64
"""Pixels of the shorter side to which larger pictures are reduced first; speeds are given in their own pixels."""

PAIRS = 8
"""Pairs of neighbouring frames of a clip that are looked at, at most, spread evenly."""

SLOWEST, GROWTH, SPEEDS = 0.02, 1.1, 90
"""Pixels a frame of the first step of the histogram of speeds, the factor from step to step, and how many there are."""


def optical_flow(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Where each place of the first pictures is in the second ones, and how well that can be seen.

    first, second: grey float (N, H, W), 0 to 255. Flow (N, 2, H, W) in pixels, across and down: second(x + flow(x)) is
    first(x). Weight (N, H, W), 0 where all is plain, to 1. Fast motion is found where it is shorter than about the
    coarsest pictures are wide; along a straight edge only the motion across it is known.

    Source: Lucas & Kanade 1981, iterated over a pyramid as in Bouguet 2001, with the same window around every pixel.
    """
    if first.shape != second.shape or first.ndim != 3:
        raise MetricError(f"pictures of {tuple(first.shape)} and {tuple(second.shape)}; expected two of (N, H, W)")
    levels = [(first[:, None].float(), second[:, None].float())]
    while min(levels[-1][0].shape[2:]) >= 2 * COARSEST:
        a, b = (F.avg_pool2d(smooth(side, 0.8, 2), 2) for side in levels[-1])
        levels.append((a, b))
    flow = first.new_zeros(len(first), 2, *levels[-1][0].shape[2:], dtype=torch.float32)
    slope = flow
    for a, b in reversed(levels):
        height, width = a.shape[2:]
        if flow.shape[2:] != (height, width):
            grown = torch.tensor([width / flow.shape[3], height / flow.shape[2]], device=flow.device)
            larger = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
            flow = larger * grown[:, None, None]
        for _ in range(WARPS):
            step, slope = improved(a, warped(b, flow))
            flow = flow + step.clamp(-2, 2)
    return flow, slope / (slope + VISIBLE)


def improved(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The step (N, 2, H, W) that least squares give in the window around each pixel, and the mean squared slope there
    (N, H, W), of pictures (N, 1, H, W).

    Slopes are those of both pictures' mean, which leaves an error of third order only.
    """
    mean = F.pad((a + b) / 2, (1, 1, 1, 1), mode="replicate")
    across = (mean[:, :, 1:-1, 2:] - mean[:, :, 1:-1, :-2]) / 2
    down = (mean[:, :, 2:, 1:-1] - mean[:, :, :-2, 1:-1]) / 2
    change = b - a
    products = torch.cat([across * across, across * down, down * down, across * change, down * change], 1)
    xx, xy, yy, xt, yt = smooth(products, SIGMA, RADIUS).unbind(1)
    trace = xx + yy
    xx, yy = xx + RIDGE, yy + RIDGE
    determinant = xx * yy - xy * xy
    step = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1) / determinant[:, None]
    return step, trace


def warped(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (N, 1, H, W) looked up where the flow leads, linearly between pixels; edges go on.

    The bicubic filter of torch is quicker to go wrong: on a ramp it leads astray by up to 0.05 pixels.
    """
    height, width = pictures.shape[2:]
    rows = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    columns = torch.arange(width, device=flow.device) + flow[:, 0]
    places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], 3)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)


def smooth(pictures: Tensor, sigma: float, radius: int) -> Tensor:
    """Pictures (N, C, H, W) under a Gaussian window; edges go on.

    Rows and columns by a product with a matrix each, which on a CPU takes a twentieth of a convolution's time.
    """
    down, across = (window(side, sigma, radius).to(pictures) for side in pictures.shape[2:])
    return down @ pictures @ across.T


@cache
def window(side: int, sigma: float, radius: int) -> Tensor:
    """The matrix (side, side) whose rows sum to 1, of a Gaussian window that is cut off at the radius."""
    offsets = torch.arange(-radius, radius + 1)
    values = torch.exp(-(offsets**2) / (2 * sigma**2))
    places = (torch.arange(side)[:, None] + offsets).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add_(1, places, (values / values.sum()).expand(side, -1))


def grey(clips: Tensor) -> Tensor:
    """Clips uint8 (N, T, C, H, W), C = 1, 3 or 4 (the fourth, alpha, is left out), as grey float (N, T, H, W)."""
    channels = clips[:, :, :3].float()
    if channels.shape[2] == 1:
        return channels[:, :, 0]
    return (channels * channels.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(2)


def speeds(clips: Tensor) -> Tensor:
    """How fast things move in each clip from frame to frame: shares (N, SPEEDS) of the steps of `steps()`, which add
    up to 1.

    clips: uint8 (N, T, C, H, W) of at least 2 frames. Places count by how well their motion can be seen, so a clip with
    nothing to see has all in the first step.
    """
    count, frames = clips.shape[:2]
    if frames < 2:
        raise MetricError(f"clips of {frames} frame; motion needs at least 2")
    pictures = grey(clips)
    shrink = max(1.0, min(pictures.shape[2:]) / LARGEST_SIDE)
    if shrink > 1:
        size = [max(1, round(side / shrink)) for side in pictures.shape[2:]]
        pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
    pairs = min(frames - 1, PAIRS)
    begin = torch.arange(pairs) * (frames - 1) // pairs
    flow, weight = optical_flow(pictures[:, begin].flatten(0, 1), pictures[:, begin + 1].flatten(0, 1))
    speed = flow.square().sum(1).sqrt() * shrink
    place = (speed.clamp(min=SLOWEST / GROWTH) / SLOWEST).log() / math.log(GROWTH)
    place = (place.ceil().long()).clamp(0, SPEEDS - 1)
    found = weight.new_zeros(count, SPEEDS)
    found.scatter_add_(1, place.view(count, -1), weight.reshape(count, -1))
    total = found.sum(1, keepdim=True)
    still = F.one_hot(torch.zeros(count, dtype=torch.long, device=found.device), SPEEDS).to(found)
    return torch.where(total > 0, found / total.clamp(min=1e-12), still)


def steps() -> Tensor:
    """The speeds (SPEEDS,) that the histogram counts, in pixels a frame: 0, then geometric means of the ends."""
    ends = SLOWEST * GROWTH ** torch.arange(-1, SPEEDS, dtype=torch.float64)
    middles = (ends[:-1] * ends[1:]).sqrt()
    middles[0] = 0.0
    return middles


def mean_speed(shares: Tensor) -> float:
    """Pixels a frame, of clips whose `speeds` are given (N, SPEEDS)."""
    return float((shares.double().cpu() @ steps()).mean())


def speed_distance(real: Tensor, fake: Tensor) -> Estimate:
    """1-Wasserstein distance between the speeds of real (N, SPEEDS) and generated clips (M, SPEEDS), in pixels a frame.

    Each clip counts alike. The interval is that of other clips (not of other places in the same ones), to first order
    as in `molecules.wasserstein`.

    Raises: MetricError for fewer than two clips on a side.
    """
    real, fake = real.double().cpu(), fake.double().cpu()
    for name, side in (("real", real), ("generated", fake)):
        if len(side) < 2:
            raise MetricError(f"{len(side)} {name} clip; at least 2 are needed")
    widths = steps().diff()
    ours, theirs = (side.cumsum(1)[:, :-1] for side in (real, fake))
    apart = ours.mean(0) - theirs.mean(0)
    value = float((apart.abs() * widths).sum())
    potential = torch.cat([apart.new_zeros(1), (apart.sign() * widths).cumsum(0)])
    variance = sum(float((side @ potential).var()) / len(side) for side in (real, fake))
    deviation = (ours.var(0) / len(ours) + theirs.var(0) / len(theirs)).sqrt()
    by_chance = math.sqrt(2 / math.pi) * deviation * (apart.abs() < 2 * deviation)
    return distance_interval(value, value, Z95 * math.sqrt(variance), below=float((by_chance * widths).sum()))
