"""Whether generated samples repeat the training samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import MetricError
from sparring.metrics.checks import Features, pair
from sparring.metrics.estimate import Estimate, share
from sparring.metrics.manifold import PANEL, nearest, other_neighbours


@dataclass(frozen=True)
class Closeness:
    """How close generated samples (M) come to training samples, on the scale of how close these come to each other.

    distance: (M,) from each generated sample to the nearest training sample. nearest: (M,) the row of that one; of
    training samples that are exactly the same, the first. spacing: (M,) from that one to its own nearest other, 0 if
    all are the same. spacings: (N',) those of all distinct training samples. mutual: share of the distinct training
    samples that are the nearest neighbour of their own nearest neighbour, 0 to 1.
    """

    distance: Tensor
    nearest: Tensor
    spacing: Tensor
    spacings: Tensor
    mutual: float


def closeness(fake: Features, real: Features) -> Closeness:
    """What `memorisation`, `copies` and `suspects` need of generated (M, D) and training samples (N, D).

    Exact duplicates among the training samples count once, otherwise a folder with every picture twice would have the
    scale 0.

    Raises: MetricError for fewer than two training samples, other numbers of features, NaN or infinity.
    """
    fake, real = pair(fake, real, "generated", "real")
    if len(real) < 2:
        raise MetricError("one real sample; telling copies from others needs at least 2")
    kept = _distinct(real)
    distinct = real if len(kept) == len(real) else real[kept]
    if len(distinct) > 1:
        spacings, other = (column[:, 0] for column in other_neighbours(distinct, 1))
        mutual = float((other[other] == torch.arange(len(other), device=other.device)).double().mean())
    else:
        spacings, mutual = real.new_zeros(1), 1.0
    distance, index = nearest(fake, distinct)
    return Closeness(distance, kept[index], spacings[index], spacings, mutual)


def memorisation(close: Closeness) -> Estimate:
    """Share of generated samples that are nearer to their nearest training sample than its nearest other is, 0 to 1.

    That is 1 - authenticity. Compare it with `expected_memorisation`, what fresh real samples would give; more is
    memorisation, less is a generator that keeps away from the data. The interval is about endless generated samples
    and these training samples.

    Source: Alaa et al. 2022 (authenticity).
    """
    return share(float(_memorised(close).double().mean()), len(close.distance))


def expected_memorisation(close: Closeness) -> float:
    """What `memorisation` would be on average for fresh samples of the distribution of the training samples, 0 to 1.

    A fresh sample counts if it and its nearest training sample are each other's nearest neighbours; by symmetry that is
    the share of the training samples that are in such pairs. For many samples from any density in d dimensions it is
    1 / (2 - I(3/4; (d + 1) / 2, 1/2)), I the regularised incomplete beta function: 2/3 for d = 1, 0.62 for d = 2,
    1/2 for many (Henze 1986); less for few samples in many dimensions, where a few samples are neighbours of most.
    """
    return close.mutual


def copies(close: Closeness) -> Estimate:
    """Share of generated samples that are near-copies of training samples, 0 to 1.

    A near-copy lies within half the distance that only 1 % of the training samples come to another one. So the scale
    follows from the data, and real samples that were held out would hardly ever count: in d effective dimensions
    about 0.01 / 2^d of them. It finds copies of whole pictures, not of parts, shifted or mirrored ones. The interval is
    about endless generated samples and these training samples.
    """
    near = close.spacings.quantile(0.01) / 2
    return share(float((close.distance <= near).double().mean()), len(close.distance))


def suspects(close: Closeness, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The generated samples that are most like copies: rows of generated and of training samples, and the ratio.

    Each (min(count, M),), the most suspicious first: the ratio of the distance to the nearest training sample to the
    distance from that one to its nearest other is smallest; 0 for a copy to the last bit, below 1 counts as memorised.
    """
    ratio = torch.where(close.distance == 0, 0.0, close.distance / close.spacing)
    order = ratio.argsort(stable=True)[:count]
    return order, close.nearest[order], ratio[order]


def _memorised(close: Closeness) -> Tensor:
    return (close.distance < close.spacing) | (close.distance == 0)


def _distinct(points: Tensor) -> Tensor:
    """Rows (N',) of the first of each kind of equal points (N, D).

    Points are equal if sums of their bits with random odd weights are, modulo 2^64: exact in any order, and in linear
    time, where sorting rows of 2,048 numbers would take copies of them all.
    """
    width = points.shape[1]
    weights = torch.randint(-(1 << 62), 1 << 62, (width,), generator=torch.Generator().manual_seed(0)) | 1
    weights = weights.to(points.device)
    # Adding 0 makes -0 the same as 0.
    keys = [
        ((part + 0.0).view(torch.int64) * weights).sum(1) for part in torch.split(points, max(1, PANEL // 8 // width))
    ]
    kinds, kind = torch.unique(torch.cat(keys), return_inverse=True)
    number = torch.arange(len(points), device=points.device)
    first = torch.full_like(kinds, len(points)).scatter_reduce_(0, kind, number, "amin")
    return first.sort().values
