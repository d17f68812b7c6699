"""A judge that needs nothing trained: pictures compared pixel by pixel."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.manifold import copies, precision_recall_density_coverage

SIDE = 16
"""Longer side in pixels above which pictures are reduced before they are compared."""

LIMIT = 2000
"""Pictures compared of each side."""


@dataclass(frozen=True)
class Quality:
    """How good generated pictures are, each from 0 (bad) to 1 except `density` and `copies`.

    precision: share of generated pictures that lie among the real ones.
    recall: share of real pictures that lie among the generated ones: variety.
    density: how densely the real pictures surround the generated ones; 1 is expected of real pictures.
    coverage: share of real pictures with a generated one close by.
    copies: share of generated pictures that are near-copies of one of the real pictures compared; 0 is good.
    score: harmonic mean of precision, recall and coverage, 0 if one of them is 0.
    protocol: what was compared: features, k, real, fake (numbers of pictures), resize.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    copies: float
    score: float
    protocol: dict[str, str | int] = field(default_factory=dict)


def judge(real: Tensor, fake: Tensor, *, k: int = 5, limit: int = LIMIT) -> Quality:
    """Compares real (N, C, H, W) with generated pictures (M, C, H, W), both uint8, in pixel space.

    Takes the first `limit` of each, so whoever calls shuffles once, with a fixed seed, if the order means anything.
    Pictures with a side above 16 pixels are first reduced to 16 by area averaging; colours are in [0, 1], and
    premultiplied where there is an alpha channel.

    What pixel space can tell: whether samples have the right shapes, places and colours, whether modes are missing,
    whether training pictures are repeated. It depends on no trained network, so it means the same in every run and
    is as fair to digits and scans as to photographs. What it cannot tell: whether details are right (they are averaged
    away above 16 pixels), or whether a picture makes sense. Blur is flattered in precision, since a blurred picture is
    nearer to all others than a sharp one, and punished in recall. Compare runs on the same data by it, not data sets.

    Raises: MetricError for pictures of different shapes, or fewer than k + 1 on a side.
    """
    if real.ndim != 4 or real.shape[1:] != fake.shape[1:]:
        raise MetricError(
            f"real pictures {tuple(real.shape)} and generated ones {tuple(fake.shape)}; "
            "both need (pictures, channels, height, width), alike but for the number"
        )
    # Apple's GPUs have no float64.
    device = "cpu" if real.device.type == "mps" else real.device
    real_features, fake_features = pixels(real[:limit].to(device)), pixels(fake[:limit].to(device))
    manifold = precision_recall_density_coverage(real_features, fake_features, k)
    height, width = real.shape[2:]
    small_height, small_width = reduced(height, width)
    return Quality(
        precision=manifold.precision,
        recall=manifold.recall,
        density=manifold.density,
        coverage=manifold.coverage,
        copies=copies(fake_features, real_features),
        score=harmonic_mean(manifold.precision, manifold.recall, manifold.coverage),
        protocol={
            "features": f"pixels {small_height}x{small_width}",
            "k": k,
            "real": len(real_features),
            "fake": len(fake_features),
            "resize": "none" if (height, width) == (small_height, small_width) else f"area from {height}x{width}",
        },
    )


def pixels(images: Tensor) -> Tensor:
    """Features float32 (N, C * h * w) in [0, 1] of pictures uint8 (N, C, H, W): their pixels, reduced to 16 a side."""
    height, width = images.shape[2:]
    small_height, small_width = reduced(height, width)
    down = area_weights(height, small_height).to(images.device)
    across = area_weights(width, small_width).to(images.device)
    # In chunks: a float copy of 2,000 large pictures would take gigabytes.
    parts = [(down @ _colours(chunk) @ across.T).flatten(1) for chunk in torch.split(images, 256)]
    return torch.cat(parts)


def reduced(height: int, width: int) -> tuple[int, int]:
    """(height, width) in proportion with the longer side at most 16, the shorter at least 1."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def area_weights(size: int, small: int) -> Tensor:
    """Matrix (small, size) that averages `size` pixels into `small` by the area each covers; its rows sum to 1."""
    stride = size / small
    left = torch.arange(small, dtype=torch.float64)[:, None] * stride
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(left + stride, pixel + 1) - torch.maximum(left, pixel)
    return (overlap.clamp(min=0) / stride).float()


def harmonic_mean(*shares: float) -> float:
    """n / (1/a + 1/b + ...), and 0 if any is 0."""
    return len(shares) / sum(1 / share for share in shares) if all(shares) else 0.0


def _colours(images: Tensor) -> Tensor:
    """Float32 in [0, 1]; what is transparent has no colour, whatever its file says."""
    colours = images.float() / 255
    if colours.shape[1] == 4:
        colours[:, :3] *= colours[:, 3:]
    return colours
