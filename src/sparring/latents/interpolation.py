"""Ways between latents, and means of several, that keep to where the generator was trained.

Normal vectors of many numbers lie close to a sphere of radius sqrt(z_dim); a straight way between two of them cuts
through the inside, where there was never a sample, and gives duller pictures half-way (White 2016, arXiv 1609.04468).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.errors import SettingError
from sparring.latents.points import Points

TURNS = 50
"""Of the iteration for a mean on the sphere, which takes far fewer."""

CLOSE = 1e-6
"""Angle in radians below which two directions count as one, or as opposite."""


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points (n, D) on the way from a to b (n, D), at t (n,) in 0 to 1; float64.

    The direction turns at constant speed along the great circle, and the length goes evenly from that of a to that of
    b, so that both ends are met. Where there is no such circle, from the origin or between opposite directions, the way
    is straight.

    Source: Shoemake 1985.
    """
    a, b, t = a.double(), b.double(), t.double()[:, None]
    from_length, to_length = (v.norm(dim=1, keepdim=True) for v in (a, b))
    u, v = (x / length.clamp(min=1e-300) for x, length in ((a, from_length), (b, to_length)))
    angle = angle_between(u, v)
    turned = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / angle.sin()
    curved = ((1 - t) * from_length + t * to_length) * turned
    has_circle = (from_length > 0) & (to_length > 0) & (angle > CLOSE) & (angle < torch.pi - CLOSE)
    return torch.where(has_circle, curved, (1 - t) * a + t * b)


def angle_between(u: Tensor, v: Tensor) -> Tensor:
    """Angles (n, 1) of unit vectors (n, D) in radians, exact for small ones, as the arc cosine is not."""
    return 2 * torch.atan2((u - v).norm(dim=1, keepdim=True), (u + v).norm(dim=1, keepdim=True))


def path(points: Points, frames: int, *, loop: bool, ends: bool = False) -> Points:
    """The way from point to point, `frames` to each leg; back to the first with `loop`.

    Without `loop` the last point follows as one frame more; with it the film goes on at its beginning. `ends` gives
    each leg its last point too, for a grid with a row for each leg. Shares of classes change evenly.

    Raises: SettingError for fewer than two points, or fewer than two frames a leg.
    """
    if len(points) < 2:
        raise SettingError("one point is no way: give several, or one of a generator with classes and several labels")
    if frames < 2:
        raise SettingError(f"frames={frames}: a leg has at least 2")
    legs = len(points) if loop else len(points) - 1
    steps = torch.arange(frames, dtype=torch.float64) / (frames - 1 if ends else frames)
    start = torch.arange(legs).repeat_interleave(frames)
    t = steps.repeat(legs)
    if not loop and not ends:
        start, t = torch.cat([start, start[-1:]]), torch.cat([t, t.new_ones(1)])
    stop = (start + 1) % len(points)
    classes = points.classes
    if classes is not None:
        share = t.float()[:, None]
        classes = (1 - share) * classes[start] + share * classes[stop]
    names = tuple(f"{points.names[a]} to {points.names[b]}" for a, b in zip(start, stop, strict=True))
    return Points(slerp(points.z[start], points.z[stop], t).float(), classes, names)


def mixed(points: Points, weights: Sequence[float] | None = None, *, straight: bool = False) -> Points:
    """One point amid several: their mean on the sphere by weights, and of their lengths; or the straight mean.

    weights: one each, at least 0, alike if None; their sum does not matter. Of two points the mean on the sphere lies
    on the way of `slerp`. Shares of classes mix by the weights.

    Raises: SettingError for other weights, or points that cancel each other out.
    """
    weights = [1.0] * len(points) if weights is None else list(weights)
    if len(weights) != len(points):
        raise SettingError(f"{len(weights)} weights for {len(points)} points: give one each")
    share = torch.tensor(weights, dtype=torch.float64)
    if not share.isfinite().all() or (share < 0).any() or not share.sum():
        raise SettingError(f"weights {', '.join(map(str, weights))}: they are at least 0, and not all 0")
    share = share / share.sum()
    z = points.z.double()
    middle = share @ z if straight else mean_on_sphere(z, share)
    classes = None if points.classes is None else (share.float() @ points.classes)[None]
    parts = zip(points.names, share.tolist(), strict=True)
    return Points(middle.float()[None], classes, (" + ".join(f"{part:.2f} of {name}" for name, part in parts),))


def mean_on_sphere(z: Tensor, share: Tensor) -> Tensor:
    """The point (D,) whose direction has the least weighted mean of squared angles to those of z (n, D), float64.

    Its length is the weighted mean of theirs. share: (n,), sums to 1.

    Raises: SettingError if the directions cancel each other out, or one has none.
    Source: Buss & Fillmore 2001, algorithm A1.
    """
    lengths = z.norm(dim=1)
    if (share @ z).norm() < CLOSE or not (lengths[share > 0] > 0).all():
        raise SettingError(
            "these latents have no mean on the sphere: they are opposite, or at its centre; mix straight"
        )
    directions = z / lengths.clamp(min=1e-300)[:, None]
    mean = share @ directions
    mean = mean / mean.norm()
    for _ in range(TURNS):
        angles = angle_between(mean.expand_as(directions), directions)
        across = directions - (directions @ mean)[:, None] * mean
        away = angles * across / across.norm(dim=1, keepdim=True).clamp(min=1e-300)
        step = share @ away
        turn = step.norm()
        if turn < CLOSE**2:
            break
        mean = mean * turn.cos() + step / turn * turn.sin()
        mean = mean / mean.norm()
    middle: Tensor = (share @ lengths) * mean
    return middle
