"""Whether a clip goes on showing what it began with, and whether long clips stay as good as they begin."""

import math

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import pair
from sparring.metrics.estimate import Z95, Estimate, normal, t95
from sparring.metrics.frechet import frechet_distance, moments

ROUNDING = 1e-5
"""Below which a change is one of the last digits: a grey level of one pixel of 64x64 is as much."""

GROUPS = 20
"""Parts of the clips that are left out in turn."""


def drift(frames: Tensor) -> Tensor:
    """The distance (N, T - 1) of each frame of a clip to its first one, of features (N, T, F): 0 if nothing changes."""
    return (frames[:, 1:] - frames[:, :1]).square().sum(2).sqrt()


def colours(clips: Tensor) -> Tensor:
    """The mean and the deviation of each channel of each frame, (N, T, 2 C), 0 to 1, of uint8 (N, T, C, H, W).

    Where things are in the picture plays no part, as long as they are in it.
    """
    pixels = clips.flatten(3).float() / 255
    return torch.cat([pixels.mean(3), pixels.std(3, correction=0)], 2)


def relative_drift(real: Tensor, fake: Tensor) -> Estimate:
    """How much generated clips change, over how much real ones do: mean of `drift` (M, L) over that of (N, L).

    1: as much as real ones; 0: they stand still. Clips are independent, their frames are not: the interval is made of
    the clips' means, normal on the scale of logarithms (delta method).

    Raises: MetricError for fewer than two clips on a side, or real ones that do not change.
    """
    means = []
    for name, side in (("real", real), ("generated", fake)):
        if len(side) < 2:
            raise MetricError(f"{len(side)} {name} clip; at least 2 are needed")
        clips = side.double().mean(1)
        means.append((float(clips.mean()), float(clips.std()) / math.sqrt(len(clips))))
    (usual, usual_error), (value, error) = means
    if usual < ROUNDING:
        raise MetricError("real clips do not change at all; there is nothing to measure by")
    if value < ROUNDING:
        return Estimate(0.0, 0.0, 0.0)
    ratio = value / usual
    half = Z95 * math.hypot(usual_error / usual, error / value)
    return Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half))


def decline(real: Tensor, early: Tensor, late: Tensor) -> Estimate:
    """How much farther from real clips (N, D) the late parts of generated clips are than their early parts (both
    (M, D)), by Frechet distance; 0 if they stay as good, in squared units of the features.

    Both parts are as many and of the same clips, so that what few samples add to a distance goes off against itself.
    The interval is that of the jackknife which leaves out a twentieth of the clips of both sides in turn.

    Raises: MetricError as `checks.pair`, or for fewer than 40 clips on a side.
    Source: long-video quality as in Skorokhodov et al. 2022 (StyleGAN-V), section 4, FVD of 16 and of 128 frames;
    Shao & Wu 1989 (jackknife of groups).
    """
    real, early = pair(real, early, "real", "generated", least=2 * GROUPS)
    early, late = pair(early, late, "generated", "later generated", least=2 * GROUPS)

    def apart(real: Tensor, early: Tensor, late: Tensor) -> float:
        known = moments(real)
        return frechet_distance(known, moments(late)) - frechet_distance(known, moments(early))

    def without(rows: Tensor, group: int) -> Tensor:
        return rows[torch.arange(len(rows), device=rows.device) % GROUPS != group]

    left_out = torch.tensor(
        [apart(without(real, group), without(early, group), without(late, group)) for group in range(GROUPS)]
    )
    error = math.sqrt((GROUPS - 1) * float(left_out.var(correction=0)))
    return normal(apart(real, early, late), error * t95(GROUPS - 1) / Z95)
