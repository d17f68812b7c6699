"""A motion that is smooth and without end, from noise at evenly spaced moments.

Motion as a function of continuous time is what makes frames at any moment, at any rate and for any length (Yu et al.
2022, DIGAN; Skorokhodov et al. 2022, StyleGAN-V).
"""

import math

import torch
from torch import Tensor, nn

from sparring.networks.layers import GAIN, activate

KERNEL = 3
REACH = 2
"""Anchors before and after that each learned one is made of: those of two layers."""

SPLINE = 4
"""Anchors that a cubic spline takes at each moment."""


class Motion(nn.Module):
    """Noise at anchors, `spacing` seconds apart, to a motion: what anchors mean is learned, and a spline joins them.

    The cubic B-spline has two continuous derivatives, so that nothing jerks. The noise is independent and alike at all
    anchors, so that no part of a motion differs from another, however late.
    """

    def __init__(self, dim: int, spacing: float) -> None:
        super().__init__()
        self.spacing = spacing
        self.mix = nn.ModuleList([nn.Conv1d(dim, dim, KERNEL) for _ in range(REACH)])
        for parameter in self.mix.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=GAIN / math.sqrt(KERNEL * dim))
            else:
                nn.init.zeros_(parameter)

    def anchors(self, seconds: float) -> int:
        """How many vectors of noise the times in [0, seconds] need."""
        return int(seconds / self.spacing) + SPLINE + 2 * REACH

    def period(self, seconds: float) -> float:
        """The length of a loop of about so many seconds: a whole number of anchors."""
        return max(SPLINE, round(seconds / self.spacing)) * self.spacing

    def looped(self, noise: Tensor, seconds: float) -> Tensor:
        """Noise (N, A, dim) of which the motion repeats after `period(seconds)`, for times up to that."""
        period = self.period(seconds)
        anchors = torch.arange(self.anchors(period), device=noise.device)
        return noise[:, anchors % round(period / self.spacing)]

    def forward(self, noise: Tensor, times: Tensor) -> Tensor:
        """Noise (N, A, dim) and times (N, K) in seconds, not negative, to the motion there (N, K, dim), float32."""
        x = noise.transpose(1, 2)
        for layer in self.mix:
            x = layer(activate(x))
        learned = x.transpose(1, 2).float()
        place = times.float() / self.spacing
        before = place.floor()
        u = (place - before)[..., None]
        weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
        motion = torch.zeros_like(learned[:, :1])
        for i, weight in enumerate(weights):
            at = (before.long() + i)[..., None].expand(-1, -1, learned.shape[2])
            motion = motion + weight / 6 * learned.gather(1, at)
        return motion
