"""A motion that is smooth and without end, from noise at evenly spaced moments, and from what lasts.

Motion as a function of continuous time is what makes frames at any moment, at any rate and for any length (Yu et al.
2022, DIGAN; Skorokhodov et al. 2022, StyleGAN-V).
"""

import math

import torch
from torch import Tensor, nn

from sparring.networks.layers import GAIN, activate, mapping

KERNEL = 3
REACH = 2
"""Anchors before and after that each learned one is made of: those of two layers."""

SPLINE = 4
"""Anchors that a cubic spline takes at each moment."""

TURNING = 0.25
"""How long a course goes on more and more slowly before it turns, of its length: where data end, nothing jerks."""


class Motion(nn.Module):
    """Noise at anchors, `spacing` seconds apart, to a motion: what anchors mean is learned, and a spline joins them.

    The cubic B-spline has two continuous derivatives, so that nothing jerks. The noise is independent and alike at all
    anchors, so that no part of such a motion differs from another, however late: on average it stays where it is.

    `course`: seconds that clips take from where they begin to where they end, if they go somewhere. One vector of
    noise, the first, is not of an anchor then but lasts for the whole clip: a part of the motion that it sets grows
    along the course, and wanes on its way back when a clip goes on for longer.
    """

    def __init__(self, dim: int, spacing: float, course: float | None = None) -> None:
        super().__init__()
        self.spacing = spacing
        self.course = course
        self.mix = nn.ModuleList([nn.Conv1d(dim, dim, KERNEL) for _ in range(REACH)])
        for parameter in self.mix.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=GAIN / math.sqrt(KERNEL * dim))
            else:
                nn.init.zeros_(parameter)
        self.lasting = None if course is None else mapping(dim, 2 * dim, 2 * dim)

    def vectors(self, seconds: float) -> int:
        """How many vectors of noise the times in [0, seconds] need: of anchors, after that which lasts."""
        return (self.course is not None) + int(seconds / self.spacing) + SPLINE + 2 * REACH

    def period(self, seconds: float) -> float:
        """The length of a loop of about so many seconds: a whole number of anchors."""
        return max(SPLINE, round(seconds / self.spacing)) * self.spacing

    def forward(self, noise: Tensor, times: Tensor, since: Tensor | None = None) -> Tensor:
        """Noise (N, A, dim) and times (N, K) in seconds, not negative, to the motion there (N, K, dim), float32.

        `since`: (N, K) seconds since the beginning of the course; None: the times.
        """
        if self.lasting is None:
            return self.by_anchors(noise, times)
        lasts: Tensor = self.lasting(noise[:, 0].float())  # a program of `torch.export` with (N, 1, dim) refuses N = 1
        kept, slope = lasts[:, None].chunk(2, 2)
        return self.by_anchors(noise[:, 1:], times) + kept + slope * self.progress(times if since is None else since)

    def by_anchors(self, noise: Tensor, times: Tensor) -> Tensor:
        """The part that is alike at all times, of noise at anchors alone."""
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

    def progress(self, since: Tensor) -> Tensor:
        """How far a clip is in its course (N, K, 1): it grows from the beginning to the end, between -1 and 1."""
        assert self.course is not None, "asked only of motions with a course"
        turned = (since.float() / self.course + TURNING) / (1 + 2 * TURNING)
        return -torch.cos(math.pi * turned)[..., None]
