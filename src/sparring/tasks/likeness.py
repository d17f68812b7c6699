"""How much of the scene a translated picture keeps: contrast between places, and distance in pretrained features."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.07
"""Of the contrast, as in CUT and MoCo."""

STRIDES = (4, 8, 16)
"""Of the pretrained maps that are compared: finer ones are of strokes, which are the style's own."""


def contrast(queries: Tensor, keys: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """How hard it is to tell which place of the photograph a place of the painting was: cross-entropy (N,), in nats.

    queries, keys: vectors of length one (N, S, D) at the same S places of the painting and of its photograph. Each
    query is to be nearer to its own key than to the keys of the other places: log S if all are equally near.
    Source: Park et al. 2020 (CUT, arXiv 2007.15651), eq. 3 and 4: InfoNCE with negatives of the same picture.
    """
    logits = queries @ keys.mT / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.mT, own, reduction="none").mean(1)


def distance(photographs: Mapping[int, Tensor], paintings: Mapping[int, Tensor]) -> Tensor:
    """Mean squared distance (N,) of the maps (N, C, h, w) by stride, each place's vector standardised.

    A place has mean 0 and variance 1 over its channels, so that a general change of contrast or colour costs little.
    """
    return torch.stack(
        [(standardised(a) - standardised(b)).square().mean((1, 2, 3)) for a, b in matching(photographs, paintings)]
    ).mean(0)


def matching(photographs: Mapping[int, Tensor], paintings: Mapping[int, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The maps of both at `STRIDES`, in float32."""
    return [(photographs[stride].float(), paintings[stride].float()) for stride in STRIDES if stride in photographs]


def standardised(x: Tensor) -> Tensor:
    """A map (N, C, H, W) whose every place has mean 0 and variance 1 over the channels."""
    centred = x - x.mean(1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-4)
