"""The pictures themselves as features: a space that depends on no trained network."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from sparring.networks.features import Card, no_classes
from sparring.networks.resizing import resize

SIDE = 16
"""Longer side in pixels above which pictures are reduced before they are compared."""

DEFINITION = f"pixels in [0, 1], area averages of at most {SIDE} a side, colours premultiplied by alpha"

BLOCK = 256
"""Pictures reduced at a time."""


class Pixels:
    """A `FeatureNetwork` without a network: pixels in [0, 1], reduced to at most 16 a side by area averaging.

    Pictures come with the channels they have: grey ones give one number a pixel, and where there is a fourth channel,
    alpha, colours are multiplied by it, so that what is transparent has no colour, whatever its file says. Distances
    between features are distances between pictures: they tell shapes, places and colours, but no details.
    """

    def __init__(self) -> None:
        self.card = Card(
            name="pixels",
            title=f"pixels, reduced to at most {SIDE} a side",
            dimension=0,
            size=None,
            resize="none",
            licence="none needed",
            digest=hashlib.sha256(DEFINITION.encode()).hexdigest(),
            source=DEFINITION,
            channels="as they are",
        )

    def pooled(self, pictures: Tensor) -> Tensor:
        """Float32 (N, C * h * w) of pictures (N, C, H, W) in [-1, 1], with (h, w) = reduced(H, W)."""
        size = reduced(*pictures.shape[2:])
        return torch.cat([resize(colours(part), size, "area").flatten(1) for part in torch.split(pictures, BLOCK)])

    def maps(self, pictures: Tensor) -> Mapping[int, Tensor]:
        """None."""
        return {}

    def logits(self, pooled: Tensor) -> Tensor:
        """Raises MetricError: pixels tell no classes apart."""
        raise no_classes(self.card)


def reduced(height: int, width: int) -> tuple[int, int]:
    """(height, width) in proportion with the longer side at most 16, the shorter at least 1.

    >>> reduced(100, 50)
    (16, 8)
    """
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def colours(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] as float32 in [0, 1], premultiplied where there is an alpha channel."""
    values = (pictures.float() + 1) / 2
    if values.shape[1] == 4:
        values = torch.cat([values[:, :3] * values[:, 3:], values[:, 3:]], 1)
    return values
