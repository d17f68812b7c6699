"""Ways between latents, and means of several, that keep to where the generator was trained.

Normal vectors of many numbers lie close to a sphere of radius sqrt(z_dim); a straight way between two of them cuts
through the inside, where there was never a sample, and gives duller pictures half-way (White 2016, arXiv 1609.04468).
"""

from collections.abc import Sequence

import torch

from sparring.errors import SettingError
from sparring.latents.points import Points
from sparring.latents.sphere import mean_on_sphere, slerp


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
