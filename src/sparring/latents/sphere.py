"""Arithmetic of directions: ways between vectors, and means of them, on a sphere."""

import torch
from torch import Tensor

from sparring.errors import SettingError

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
