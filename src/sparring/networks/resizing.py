"""Pictures brought to the size that a feature network expects.

Numbers measured on features depend on the resampling filter as much as on the network (Parmar et al. 2022), so each
filter here equals one that published numbers were made with.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import MetricError

if TYPE_CHECKING:
    from sparring.networks.features import Card, Resize


def fit(pictures: Tensor, card: "Card") -> Tensor:
    """Pictures float (N, C, H, W) in [-1, 1] as the network of `card` wants them, still in [-1, 1].

    A bicubic filter overshoots at edges; what leaves the range is cut off, as clean-fid does.
    """
    if card.size is None:
        return pictures
    return resize(pictures, card.size, card.resize).clamp(-1, 1)


def resize(pictures: Tensor, size: tuple[int, int], how: "Resize") -> Tensor:
    """Resamples float pictures (N, C, H, W) to (N, C, *size), in float32 at least; gradients flow.

    "bicubic antialiased" and "bilinear antialiased" are the filters of Pillow, a = -0.5 and a triangle, widened where
    pictures get smaller; bicubic values may leave the range of the picture's. "bilinear TensorFlow 1" is the
    `resize_bilinear` of the original FID. "area" averages what each new pixel covers. Pictures that have the size
    already come back as they are.

    Raises: MetricError if `how` is "none" and the pictures have another size.
    """
    if pictures.shape[2:] == size:
        return pictures
    if how == "none":
        height, width = pictures.shape[2:]
        raise MetricError(f"pictures of {height}x{width} pixels; this network takes {size[0]}x{size[1]}, unresized")
    pictures = pictures.to(torch.promote_types(pictures.dtype, torch.float32))
    if how == "bicubic antialiased":
        return F.interpolate(pictures, size, mode="bicubic", antialias=True)
    if how == "bilinear antialiased":
        return F.interpolate(pictures, size, mode="bilinear", antialias=True)
    weights = area_weights if how == "area" else tensorflow_weights
    down, across = (weights(long, short).to(pictures) for long, short in zip(pictures.shape[2:], size, strict=True))
    return down @ pictures @ across.T


def area_weights(size: int, new: int) -> Tensor:
    """Matrix (new, size) that averages `size` pixels into `new` by the area each covers; its rows sum to 1.

    >>> area_weights(3, 2)
    tensor([[0.6667, 0.3333, 0.0000],
            [0.0000, 0.3333, 0.6667]])
    """
    stride = size / new
    left = torch.arange(new, dtype=torch.float64)[:, None] * stride
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(left + stride, pixel + 1) - torch.maximum(left, pixel)
    return (overlap.clamp(min=0) / stride).float()


def tensorflow_weights(size: int, new: int) -> Tensor:
    """Matrix (new, size) of TensorFlow 1's bilinear resizing: new pixel i lies at i * size / new, not at its centre.

    Between two pixels their values are mixed by distance; beyond the last one it is repeated. Enlarged pictures are
    thereby shifted, and reduced ones skip pixels: what Parmar et al. 2022 put right, and the original FID contains.
    Positions are float32, as there.

    >>> tensorflow_weights(2, 4)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 1.0000],
            [0.0000, 1.0000]])
    """
    place = torch.arange(new, dtype=torch.float32) * torch.tensor(size / new, dtype=torch.float32)
    before = place.long().clamp(max=size - 1)
    after = (before + 1).clamp(max=size - 1)
    share = (place - before)[:, None]
    one_hot = torch.eye(size)
    return one_hot[before] * (1 - share) + one_hot[after] * share
