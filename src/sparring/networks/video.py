"""Players for clips: any family of networks for pictures, and a motion that is continuous in time.

Content and motion are apart (Tulyakov et al. 2018, MoCoGAN): a clip has one content z, and at each moment t a motion
m(t); the picture at t is G(z, m(t)). The motion is a function of continuous time (Skorokhodov et al. 2022, StyleGAN-V;
Yu et al. 2022, DIGAN), so that frames can be made at any moment, at any rate and for any length.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks import FAMILIES
from sparring.networks.layers import GAIN, Shape, activate, draw_weights

REACH = 2
"""Anchors before and after that a learned anchor is made of, on each side: two layers of kernels of 3."""

SPLINE = 4
"""Anchors that a cubic spline takes at each moment."""


class Motion(nn.Module):
    """Noise at anchors, evenly in time, to a smooth motion: what anchors mean is learned, a spline joins them.

    The cubic B-spline has two continuous derivatives: motion without jerks. The noise is the same at all times in
    distribution, and so is the motion: a clip has no end.
    """

    def __init__(self, dim: int, spacing: float) -> None:
        super().__init__()
        self.spacing = spacing
        self.mix = nn.ModuleList([nn.Conv1d(dim, dim, 3), nn.Conv1d(dim, dim, 3)])
        for layer in self.mix:
            nn.init.normal_(layer.weight, std=GAIN / math.sqrt(3 * dim))
            nn.init.zeros_(layer.bias)

    def anchors(self, seconds: float) -> int:
        """How many vectors of noise the times in [0, seconds] need."""
        return int(seconds / self.spacing) + SPLINE + 2 * REACH

    def period(self, seconds: float) -> float:
        """The length of a loop of about so many seconds: a whole number of anchors."""
        return max(SPLINE, round(seconds / self.spacing)) * self.spacing

    def looped(self, noise: Tensor, seconds: float) -> Tensor:
        """Noise (N, A, dim) of which the motion repeats after `period(seconds)`, for times up to that."""
        count = round(self.period(seconds) / self.spacing)
        return noise[:, torch.arange(self.anchors(self.period(seconds)), device=noise.device) % count]

    def forward(self, noise: Tensor, times: Tensor) -> Tensor:
        """Noise (N, A, dim) and times (N, K) in seconds, not negative, to the motion there (N, K, dim)."""
        x = noise.transpose(1, 2)
        for layer in self.mix:
            x = layer(activate(x))
        learned = x.transpose(1, 2).float()
        place = times.float() / self.spacing
        before = place.floor().clamp(max=learned.shape[1] - SPLINE)
        u = (place - before)[..., None]
        weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
        motion = torch.zeros_like(learned[:, :1])
        for i, weight in enumerate(weights):
            at = (before.long() + i)[..., None].expand(-1, -1, learned.shape[2])
            motion = motion + weight / 6 * learned.gather(1, at)
        return motion


class Generator(nn.Module):
    """Content z (N, z_dim), motion noise (N, A, motion_dim) and times (N, K) to frames (N, K, C, H, W)."""

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
        network: str = "r3",
    ) -> None:
        super().__init__()
        self.motion = Motion(motion_dim, spacing)
        hidden = 2 * (z_dim + motion_dim)
        self.meet = nn.Sequential(nn.Linear(z_dim + motion_dim, hidden), nn.Linear(hidden, z_dim + motion_dim))
        draw_weights(self.meet[0], GAIN)
        draw_weights(self.meet[1], 0)
        self.picture = FAMILIES[network].generator(
            shape, z_dim=z_dim + motion_dim, classes=classes, width=width, depth=depth
        )

    def forward(self, z: Tensor, noise: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        moments = times.shape[1]
        code = torch.cat([z[:, None].expand(-1, moments, -1), self.motion(noise, times).to(z.dtype)], 2).flatten(0, 1)
        code = code + self.meet[1](activate(self.meet[0](code)))
        condition = None if y is None else y.repeat_interleave(moments, 0)
        pictures: Tensor = self.picture(code, condition)
        return pictures.unflatten(0, (-1, moments))


class Discriminator(nn.Module):
    """K frames (N, C, H, W) and the seconds between them (N, K - 1) to logits (N,), all frames seen at once.

    Frames come as the first, and as changes from one to the next; the time between them as pictures of one value.
    """

    def __init__(
        self, shape: Shape, *, seen: int, classes: int = 0, width: int, depth: int, network: str = "r3", changes=True,
    ) -> None:
        super().__init__()
        channels, height, width_ = shape
        self.changes = changes
        n = channels * (2 * seen - 1 if changes else seen) + seen - 1
        self.judge = FAMILIES[network].discriminator((n, height, width_), classes=classes, width=width, depth=depth)

    def forward(self, *parts: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class."""
        *frames, gaps = parts
        changes = [b - a for a, b in zip(frames, frames[1:], strict=False)] if self.changes else []
        spans = gaps[:, :, None, None].expand(-1, -1, *frames[0].shape[2:])
        logits: Tensor = self.judge(torch.cat([*frames, *changes, spans], 1), y)
        return logits
