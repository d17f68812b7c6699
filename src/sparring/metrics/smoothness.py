"""How smoothly pictures change along a path between two latent vectors."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.estimate import Estimate, normal

EPSILON = 1e-4
"""Length of the step whose effect is measured, as a share of the path."""

TRIM = 0.01
"""Share of the steps left out at either end."""


def path_length(
    make: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    z_dim: int,
    count: int,
    seed: int,
    *,
    epsilon: float = EPSILON,
    batch: int = 64,
) -> Estimate:
    """Perceptual path length: mean of distance(make(z_t), make(z_(t + epsilon))) / epsilon^2 over random paths.

    A path is the great circle (slerp) from one normal latent vector to another; t is where on it, uniform in 0 to 1. Of
    `count` steps, those below the 1st or above the 99th percentile are left out, as in Karras's code. Small is smooth.

    make: latents float32 (n, z_dim) on the CPU to pictures float in [-1, 1] (n, C, H, W); row i and row n / 2 + i are a
    pair, which must differ in nothing but their latents: of one class, and of the same noise if there is any. distance:
    two such batches to distances (n,) that grow with the square of small differences, as `perceptual_distance` of their
    maps.

    Raises: MetricError for fewer than 100 steps, or distances that are NaN or infinite.
    Source: Karras et al. 2019, section 4.1, eq. 2. Interval: Tukey & McLaughlin 1963 (the trimmed mean's, from
    winsorized variance).
    """
    if count < 100:
        raise MetricError(f"{count} steps; trimming at the 1st and 99th percentile needs at least 100")
    generator = torch.Generator().manual_seed(seed)
    lengths = []
    with torch.no_grad():
        for start in range(0, count, batch):
            size = min(batch, count - start)
            # In float64, where epsilon is not lost in rounding before the generator sees it.
            begin, end = torch.randn(2, size, z_dim, generator=generator, dtype=torch.float64)
            t = torch.rand(size, 1, generator=generator, dtype=torch.float64)
            near, far = (slerp(begin, end, at).float() for at in (t, t + epsilon))
            # One call, so that both pictures of a pair pass through the same arithmetic.
            here, there = make(torch.cat([near, far])).chunk(2)
            lengths.append(distance(here, there).double().cpu() / epsilon**2)
    values = torch.cat(lengths)
    if not values.isfinite().all():
        raise MetricError("distances along paths contain NaN or infinity")
    return trimmed_mean(values)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points (N, D) on the great circles from a to b (N, D), at t (N, 1), on the sphere of radius sqrt(D).

    Source: Shoemake 1985; on normalised vectors, as Karras et al. 2019. The radius is that of normal vectors.
    """
    a, b = (v / v.norm(dim=1, keepdim=True) for v in (a, b))
    cosine = (a * b).sum(1, keepdim=True)
    across = b - cosine * a
    across = across / across.norm(dim=1, keepdim=True).clamp(min=1e-300)
    angle = t * torch.arccos(cosine.clamp(-1, 1))
    point: Tensor = a * angle.cos() + across * angle.sin()
    return math.sqrt(a.shape[1]) * point


def trimmed_mean(values: Tensor, trim: float = TRIM) -> Estimate:
    """Mean of values (N,) without the lowest and the highest floor(`trim` N).

    Its standard error is that of the winsorized values, over (1 - 2 trim) sqrt(N). Source: Tukey & McLaughlin 1963.
    """
    ordered = values.double().sort().values
    count = len(ordered)
    out = math.floor(trim * count)
    value = float(ordered[out : count - out].mean())
    winsorized = ordered.clamp(ordered[out], ordered[count - out - 1])
    return normal(value, float(winsorized.std()) / ((1 - 2 * out / count) * math.sqrt(count)), least=0.0)
