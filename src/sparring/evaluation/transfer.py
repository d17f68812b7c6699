"""Photographs made into paintings, without pairs: how much of the style is there, and how much of the scene is left."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from sparring.data import to_floats
from sparring.errors import MetricError
from sparring.evaluation.extraction import as_rgb, prepare, without_tf32
from sparring.evaluation.judgement import ROUNDING, Evaluation, Result, versions
from sparring.metrics.estimate import Estimate, mean_of
from sparring.metrics.frechet import Moments, frechet_distance, moments
from sparring.metrics.structure import structure
from sparring.networks.features import FeatureNetwork

AT_ONCE = 64
"""Pictures looked at together."""


class Transfer:
    """Judges translations of always the same photographs by always the same patches of paintings.

    photographs: uint8 (N, C, H, W). paintings: patches of the same shape and number for every style, by its name.
    Raises: MetricError for fewer than two, or if both sides are alike.
    """

    def __init__(
        self, photographs: Tensor, paintings: Mapping[str, Tensor], network: FeatureNetwork, device: str = "cpu"
    ) -> None:
        if min(len(photographs), *(len(patches) for patches in paintings.values())) < 2:
            raise MetricError("at least two photographs and two patches of paintings are needed to judge a style")
        self.photographs = photographs
        self.network = network
        self.device = device
        self.styles = {name: self.moments(patches) for name, patches in paintings.items()}
        before = self.moments(photographs)
        self.before = {name: frechet_distance(style, before) for name, style in self.styles.items()}
        if min(self.before.values()) <= ROUNDING:
            raise MetricError("the photographs are like the paintings to begin with: there is no way to go")

    @torch.inference_mode()
    @without_tf32()
    def moments(self, pictures: Tensor) -> Moments:
        """Mean and covariance of the features of pictures uint8 (N, C, H, W)."""
        parts = [
            self.network.pooled(prepare(part.to(self.device), self.network.card)).float().cpu()
            for part in torch.split(pictures, AT_ONCE)
        ]
        return moments(torch.cat(parts))

    def __call__(self, translated: Mapping[str, Tensor]) -> Evaluation:
        """The photographs in each style, uint8 (N, C, H, W) in the same order, to `style`, `structure`, `transfer`."""
        shares, kept = [], list[float]()
        for name, pictures in translated.items():
            shares.append(1 - frechet_distance(self.styles[name], self.moments(pictures)) / self.before[name])
            kept += self.kept(pictures)
        style, scene = sum(shares) / len(shares), mean_of(kept, least=-1, most=1)
        results = {
            "transfer": Result(Estimate(harmonic(style, scene.value))),
            "style": Result(Estimate(style)),
            "structure": Result(scene),
        }
        return Evaluation(results, self.protocol(list(translated)))

    @torch.inference_mode()
    def kept(self, pictures: Tensor) -> list[float]:
        """The structure that each picture has kept of its photograph."""
        pairs = zip(torch.split(self.photographs, AT_ONCE), torch.split(pictures, AT_ONCE), strict=True)
        return [
            value
            for before, after in pairs
            for value in structure(as_rgb(to_floats(before)), as_rgb(to_floats(after))).tolist()
        ]

    def protocol(self, styles: Sequence[str]) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON values."""
        count = len(self.photographs)
        return {
            "features": asdict(self.network.card),
            "pictures": None,
            "k": None,
            "transfer": {"count": count, "styles": list(styles), "size": list(self.photographs.shape[2:])},
            "real": {"kind": "patches of paintings", "name": "training data", "count": count},
            "generated": {"kind": "translated photographs", "name": "in training", "count": count},
            "device": self.device,
            "versions": versions(),
        }


def harmonic(style: float, scene: float) -> float:
    """The harmonic mean of both, 0 if one of them is not above 0."""
    return 0.0 if min(style, scene) <= 0 else 2 * style * scene / (style + scene)
