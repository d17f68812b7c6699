"""How far a reconstruction is from its picture: what inversion makes small, and what it reports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import MetricError
from sparring.evaluation.extraction import as_rgb, prepare
from sparring.metrics.estimate import Estimate, mean_of
from sparring.metrics.similarity import perceptual_distance, perceptual_features, psnr
from sparring.networks.features import FeatureNetwork, open_features
from sparring.networks.pixels import SIDE

LEAST_SIDE = 64
"""Pixels that the longer side is enlarged to for the feature network, whose coarse maps are a single place below."""

PIXELS = 10.0
"""Weight of the mean squared error of pixels in [-1, 1], beside perceptual distance."""

PRIOR = 1.0
"""Weight of the square of how far |z| / sqrt(z_dim) is from where normal vectors have it."""

USUAL = 2.0
"""Standard deviations from 1 up to which that is usual; one is about 1 / sqrt(2 z_dim)."""

AT_ONCE = 32


def space_for(shape: tuple[int, int, int], wanted: str | None) -> str:
    """The name of the features that reconstructions are compared in: pixels alone for tiny pictures, else lite0."""
    return wanted or ("pixels" if max(shape[1:]) <= SIDE else "lite0")


def as_seen(made: Tensor) -> Tensor:
    """What a generator gives, cut off at -1 and 1 as in files: black is no blacker beyond.

    The gradient is that without, so that what is cut off and should not be can still be put right.
    """
    made = made.float()
    return made + (made.clamp(-1, 1) - made).detach()


def beyond_usual(z: Tensor) -> Tensor:
    """What is added to the distances (n,) of z (n, z_dim), for a length that normal vectors hardly have."""
    length = math.sqrt(z.shape[1])
    far = (z.norm(dim=1) / length - 1).abs() - USUAL / (math.sqrt(2) * length)
    excess: Tensor = far.clamp(min=0).square()
    return PRIOR * excess


class Likeness:
    """Distances of pictures by the maps of a feature network and by pixels, or by pixels alone; differentiable.

    name: as `sparring evaluate --features`. Raises MetricError for a network without maps.
    """

    def __init__(self, name: str, device: torch.device | str) -> None:
        self.device = device
        self.network: FeatureNetwork | None = None if name == "pixels" else open_features(name, device)
        if self.network is not None and not self.network.card.strides:
            raise MetricError(f"{name}: gives no maps to compare pictures by; lite0, inception, wavelets or pixels do")

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """Maps by stride of pictures (n, C, H, W) in [-1, 1]; empty by pixels alone."""
        if self.network is None:
            return {}
        scale = max(1.0, LEAST_SIDE / max(pictures.shape[2:]))
        size = [round(scale * side) for side in pictures.shape[2:]]
        rgb = as_rgb(pictures)
        return self.network.maps(F.interpolate(rgb, size, mode="bilinear") if scale > 1 else rgb)

    def distances(self, pictures: Tensor, others: Tensor, maps: Mapping[int, Tensor]) -> Tensor:
        """Distances (n,) of pictures (n, C, H, W) in [-1, 1] from others, whose maps are known."""
        of_pixels = (pictures - others).square().mean((1, 2, 3))
        if self.network is None:
            return of_pixels
        return PIXELS * of_pixels + perceptual_distance(self.maps(pictures), maps)

    @torch.no_grad()
    def residuals(self, pictures: Tensor) -> Tensor:
        """Numbers float32 (n, m) on the CPU whose squared distance is `distances`, of pictures in [-1, 1]."""
        found = []
        for part in torch.split(pictures.to(self.device), AT_ONCE):
            of_pixels = part.flatten(1) / math.sqrt(part[0].numel())
            if self.network is not None:
                of_maps = perceptual_features(self.maps(part))
                of_pixels = torch.cat([math.sqrt(PIXELS) * of_pixels, of_maps], dim=1)
            found.append(of_pixels.float().cpu())
        return torch.cat(found)

    @torch.no_grad()
    def perceptual(self, pictures: Tensor, others: Tensor) -> Tensor | None:
        """Perceptual distances (n,) of uint8 pictures, as `evaluate --metrics perceptual`; None by pixels alone."""
        if self.network is None:
            return None
        network, found = self.network, []
        for a, b in zip(torch.split(pictures, AT_ONCE), torch.split(others, AT_ONCE), strict=True):
            ours, theirs = (network.maps(prepare(side.to(self.device), network.card)) for side in (a, b))
            found.append(perceptual_distance(ours, theirs).cpu())
        return torch.cat(found)


@dataclass(frozen=True)
class Errors:
    """Of reconstructions, one each. psnr: decibels. perceptual: None where pictures are compared by pixels alone."""

    psnr: tuple[float, ...]
    perceptual: tuple[float, ...] | None

    @classmethod
    def of(cls, likeness: Likeness, made: Tensor, pictures: Tensor) -> "Errors":
        """Those of uint8 pictures (n, C, H, W)."""
        perceptual = likeness.perceptual(made, pictures)
        # Equal ones would be at infinity: half a level of 255 is less than any error that can be seen.
        decibels = psnr(made, pictures).clamp(max=20 * math.log10(255 / 0.5))
        return cls(tuple(decibels.tolist()), None if perceptual is None else tuple(perceptual.tolist()))

    def means(self) -> dict[str, Estimate]:
        """Each with the interval that other pictures of the same kind would give."""
        found: dict[str, Sequence[float]] = {"psnr": self.psnr}
        if self.perceptual is not None:
            found["perceptual"] = self.perceptual
        return {name: mean_of(values) for name, values in found.items()}
