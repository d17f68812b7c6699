"""How alike pictures are, pair by pair.

Pictures are uint8 (N, C, H, W) in 0 to 255, or float in 0 to `span`. Numbers are computed in float64, one per pair.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import MetricError
from sparring.metrics.estimate import Estimate, normal

WINDOW = 11
"""Pixels a side of the window that structural similarity looks through."""

TILE = 64
"""Means along a side that are taken by one product: few enough that the zeros of its matrix cost little."""

SIGMA = 1.5
"""Standard deviation of the window's Gaussian weights, in pixels."""

K1, K2 = 0.01, 0.03
"""Constants of structural similarity, in shares of the span."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of multi-scale structural similarity, finest first."""

LUMINANCE = (65.481, 128.553, 24.966)
"""What full red, green and blue add to the luminance of black, which is 16 (BT.601, 8 bits)."""

CHUNK = 1 << 22
"""Values of pictures compared at a time: 32 MiB in float64."""


def psnr(a: Tensor, b: Tensor, *, span: float | None = None) -> Tensor:
    """Peak signal-to-noise ratio float64 (N,) in decibels: 10 log10(span^2 / mean squared error); infinite if equal.

    a, b: pictures (N, C, H, W). span: largest minus smallest possible value, 255 for uint8 and 1 for float if None.

    Raises: MetricError for pictures of different shapes or types, NaN or infinity.
    """
    a, b, span = _pictures(a, b, span)
    return 10 * torch.log10(span**2 / (a - b).square().mean((1, 2, 3)))


def ssim(a: Tensor, b: Tensor, *, span: float | None = None) -> Tensor:
    """Structural similarity float64 (N,), at most 1, and 1 only for equal pictures.

    Windows of 11 x 11 with Gaussian weights (1.5 pixels), only those that lie wholly inside; the mean of all windows
    and channels. a, b: pictures (N, C, H, W). span: as in `psnr`.

    Raises: MetricError for pictures of different shapes or types, smaller than 11 x 11, NaN or infinity.
    Source: Wang et al. 2004, eq. 13-16.
    """
    a, b, span = _pictures(a, b, span)
    if min(a.shape[2:]) < WINDOW:
        raise MetricError(f"pictures of {a.shape[3]}x{a.shape[2]} pixels; structural similarity needs at least 11x11")
    return _structure(a, b, span)[0].mean(1)


def luminance(pictures: Tensor) -> Tensor:
    """Luminance Y float64 (N, 1, H, W), 16 to 235, of RGB pictures uint8 (N, 3, H, W); grey ones stay as they are.

    16 + (65.481 R + 128.553 G + 24.966 B) / 255, not rounded: what papers on super-resolution measure `psnr` of, with a
    span of 255.

    Raises: MetricError for other types or numbers of channels.
    Source: ITU-R BT.601-7, 2.5.1 to 2.5.3; `rgb2ycbcr` of MATLAB, which rounds.
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise MetricError(f"pictures {pictures.dtype} {tuple(pictures.shape)}; luminance is of uint8 (N, 1 or 3, H, W)")
    if pictures.shape[1] == 1:
        return pictures.double()
    weights = torch.tensor(LUMINANCE, dtype=torch.float64, device=pictures.device)[:, None, None]
    return 16 + (pictures * weights).sum(1, keepdim=True) / 255


def scales(height: int, width: int) -> int:
    """Scales that `ms_ssim` uses for pictures of this size: 5 from 176 pixels on the shorter side, 0 below 11."""
    shorter = min(height, width)
    return min(len(SCALE_WEIGHTS), math.floor(math.log2(shorter / WINDOW)) + 1) if shorter >= WINDOW else 0


def ms_ssim(a: Tensor, b: Tensor, *, span: float | None = None) -> Tensor:
    """Multi-scale structural similarity float64 (N,), 0 to 1, and 1 only for equal pictures.

    Pictures with a side below 176 pixels have fewer than five scales with a window inside (`scales` says how many);
    then the weights of those that there are, made to sum to 1, are the exponents. Such numbers compare only with those
    of pictures of the same size. Negative contrast terms, of pictures and their negatives, count as 0. Halving is by
    averaging 2 x 2 pixels; a last odd row or column is left out. Channels are taken apart and averaged at the end.
    a, b: pictures (N, C, H, W). span: as in `psnr`.

    Raises: MetricError for pictures of different shapes or types, smaller than 11 x 11, NaN or infinity.
    Source: Wang et al. 2003, eq. 7, and its weights.
    """
    a, b, span = _pictures(a, b, span)
    number = scales(*a.shape[2:])
    if not number:
        raise MetricError(f"pictures of {a.shape[3]}x{a.shape[2]} pixels; structural similarity needs at least 11x11")
    weights = [weight / sum(SCALE_WEIGHTS[:number]) for weight in SCALE_WEIGHTS[:number]]
    product = a.new_ones(a.shape[:2])
    for scale, weight in enumerate(weights):
        whole, contrast = _structure(a, b, span)
        # Luminance counts at the coarsest scale only.
        product *= (whole if scale == number - 1 else contrast).clamp(min=0) ** weight
        if scale < number - 1:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product.mean(1)


def perceptual_distance(maps_a: Mapping[int, Tensor], maps_b: Mapping[int, Tensor]) -> Tensor:
    """Distance float (N,) of pictures by their feature maps, 0 for equal ones, at most 4 for each stride.

    Feature vectors are brought to length 1 at every place; their squared differences are summed over channels, averaged
    over places and added up over strides. It has the form of LPIPS with all its weights 1 ("baseline"), not the learned
    weights of LPIPS, so its numbers are not LPIPS's. Gradients flow through.

    maps_a, maps_b: maps (N, C, h, w) by stride, as `FeatureNetwork.maps` gives them.

    Raises: MetricError for no maps, other strides or other shapes.
    Source: Zhang et al. 2018, eq. 1.
    """
    shapes_a, shapes_b = ({stride: tuple(m.shape) for stride, m in maps.items()} for maps in (maps_a, maps_b))
    if not shapes_a or shapes_a != shapes_b:
        raise MetricError(f"feature maps {shapes_a} and {shapes_b}; both need the same ones, at least one")
    distances = [
        (_unit(maps_a[stride]) - _unit(maps_b[stride])).square().sum(1).mean((1, 2)) for stride in sorted(maps_a)
    ]
    return torch.stack(distances).sum(0)


def perceptual_features(maps: Mapping[int, Tensor]) -> Tensor:
    """Numbers float (N, M) whose squared distance is `perceptual_distance`, of maps (N, C, h, w) by stride."""
    return torch.cat([(_unit(maps[s]) / math.sqrt(maps[s][0, 0].numel())).flatten(1) for s in sorted(maps)], dim=1)


def mean_of_pairs(pictures: Tensor, likeness: Callable[[Tensor, Tensor], Tensor], seed: int, count: int) -> Estimate:
    """Mean of `likeness` over `count` random pairs of pictures (N, C, H, W), no picture in two of them.

    likeness: two batches of pictures to numbers (n,), as `ms_ssim`: its mean among generated pictures is high where
    there is little variety (compare with real pictures of the same size). If there are fewer than 2 `count` pictures,
    all that there are make pairs.

    Raises: MetricError for fewer than four pictures, and as `likeness`.
    Source: Odena et al. 2017, section 4.2.
    """
    count = min(count, len(pictures) // 2)
    if count < 2:
        raise MetricError(f"{len(pictures)} pictures in {count} pairs; at least 2 pairs, of 4 pictures, are needed")
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed)).to(pictures.device)
    first, second = order[:count], order[count : 2 * count]
    pairs = zip(torch.split(first, CHUNK), torch.split(second, CHUNK), strict=True)
    values = torch.cat([likeness(pictures[a], pictures[b]) for a, b in pairs]).double()
    return normal(float(values.mean()), float(values.std()) / math.sqrt(count))


def _pictures(a: Tensor, b: Tensor, span: float | None) -> tuple[Tensor, Tensor, float]:
    """Both as float64, and the span."""
    if a.ndim != 4 or a.shape != b.shape or a.dtype != b.dtype or not a.numel():
        raise MetricError(
            f"pictures {a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}; "
            "both need (pictures, channels, height, width), alike, and the same type"
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise MetricError("pictures contain NaN or infinity")
    return a.double(), b.double(), span or (1.0 if a.is_floating_point() else 255.0)


def _structure(a: Tensor, b: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Structural similarity (N, C) of each channel, and that without its luminance term."""
    height, width = a.shape[2:]
    across = _tiles(width, a.device)
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    whole, without = a.new_zeros(a.shape[:2]), a.new_zeros(a.shape[:2])
    for place, down in _tiles(height, a.device):  # strip by strip, which stays in the caches
        x, y = a[:, :, place], b[:, :, place]
        mean_x, mean_y = _means(x, down, across), _means(y, down, across)
        variances = _means(x * x, down, across) - mean_x**2 + _means(y * y, down, across) - mean_y**2
        covariance = _means(x * y, down, across) - mean_x * mean_y
        contrast = (2 * covariance + c2) / (variances + c2)
        bright = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        whole += (bright * contrast).sum((2, 3))
        without += contrast.sum((2, 3))
    windows = (height - WINDOW + 1) * (width - WINDOW + 1)
    return whole / windows, without / windows


def _means(pictures: Tensor, down: Tensor, across: Sequence[tuple[slice, Tensor]]) -> Tensor:
    """Gaussian means of all windows of a strip (N, C, H, W)."""
    return down @ torch.cat([pictures[..., place] @ window.T for place, window in across], 3)


def _tiles(side: int, device: torch.device) -> list[tuple[slice, Tensor]]:
    """Pieces of a side, overlapping so that every window lies in one of them, each with its `_window`.

    A single band for a large side would be zeros for the most part.
    """
    count = side - WINDOW + 1
    ends = [(start, min(start + TILE, count) + WINDOW - 1) for start in range(0, count, TILE)]
    return [(slice(start, end), _window(end - start, device)) for start, end in ends]


def _window(side: int, device: torch.device) -> Tensor:
    """Matrix float64 (side - WINDOW + 1, side) that takes Gaussian means of WINDOW pixels.

    As a product with a band matrix, since convolutions in float64 are slow everywhere.
    """
    places = torch.arange(WINDOW, dtype=torch.float64, device=device) - WINDOW // 2
    weights = torch.exp(-places.square() / (2 * SIGMA**2))
    weights /= weights.sum()
    matrix = torch.zeros(side - WINDOW + 1, side, dtype=torch.float64, device=device)
    for offset, weight in enumerate(weights):
        matrix.diagonal(offset).fill_(float(weight))
    return matrix


def _unit(maps: Tensor) -> Tensor:
    return F.normalize(maps, dim=1, eps=1e-10)
