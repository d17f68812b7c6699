"""What the families of players share: checks, initialisation, resampling, and how labels come in."""

import math
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import SettingError

Shape = tuple[int, int, int]
"""Channels, height and width of a picture."""

SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""

GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""Standard deviation of weights, times sqrt(fan-in), that keeps the variance through `activate` (He et al. 2015)."""


def check(shape: Shape, **sizes: int) -> None:
    """Raises SettingError unless pictures have a channel and sides of at least 4, and all `sizes` are >= 1."""
    channels, height, width = shape
    if channels < 1:
        raise SettingError(f"pictures with {channels} channels; they need at least 1")
    if min(height, width) < 4:
        raise SettingError(f"pictures of {height}x{width} pixels; networks need at least 4x4, so enlarge the pictures")
    for name, value in sizes.items():
        if value < 1:
            raise SettingError(f"{name} = {value}; it must be at least 1")


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2."""
    if not torch.is_grad_enabled():
        return F.leaky_relu(x, SLOPE)
    activated: Tensor = LeakyReLU.apply(x)  # type: ignore[no-untyped-call]
    return activated


class LeakyReLU(torch.autograd.Function):
    """Where the library's second derivative adds zeros for the input, which take time, this has none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Element by element."""
        activated = F.leaky_relu(x, SLOPE)
        ctx.save_for_backward(activated)  # has the sign of x, and the next layer keeps it anyway
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Times the slope."""
        return times_slope(gradient, *ctx.saved_tensors)


class TimesSlope(torch.autograd.Function):
    """Multiplies by the slope of the activation, which is piecewise constant: linear in the gradient alone."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, activated: Tensor) -> Tensor:
        """Element by element."""
        ctx.save_for_backward(activated)
        slopes: Tensor = torch.ops.aten.leaky_relu_backward(gradient, activated, SLOPE, True)
        return slopes

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, None]:
        """The same again."""
        return TimesSlope.apply(change, *ctx.saved_tensors), None  # type: ignore[no-untyped-call]


def times_slope(gradient: Tensor, activated: Tensor) -> Tensor:
    """The gradient before `activate`, of that after it and of what came out."""
    times: Tensor = TimesSlope.apply(gradient, activated)  # type: ignore[no-untyped-call]
    return times


def draw_weights(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    """Draws weights from N(0, gain^2 / fan-in), bias zero: independent inputs of variance v give gain^2 v."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def mapping(before: int, inside: int, after: int, gain: float = GAIN) -> nn.Sequential:
    """A dense network of two layers; independent inputs of variance v give (gain / GAIN)^2 v, about."""
    first, second = nn.Linear(before, inside), nn.Linear(inside, after)
    draw_weights(first, GAIN)
    draw_weights(second, gain)
    return nn.Sequential(first, nn.LeakyReLU(SLOPE), second)


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """The grids of a pyramid, finest first: every side is halved, rounding up, as long as 4 or more remain.

    >>> halvings(64, 96)
    [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6)]
    >>> halvings(9, 32)
    [(9, 32), (5, 16), (5, 8), (5, 4)]
    """
    grids = [(height, width)]
    while max(height, width) >= 7:
        height, width = ((side + 1) // 2 if side >= 7 else side for side in (height, width))
        grids.append((height, width))
    return grids


def widths(width: int, levels: int, most: int) -> list[int]:
    """Channels of the grids of a pyramid, finest first: twice as many at each, up to `most`, or `width` if more.

    >>> widths(96, 4, most=512)
    [96, 192, 384, 512]
    """
    return [min(width * 2**level, max(width, most)) for level in range(levels)]


def labels_for(embedding: nn.Module | None, y: Tensor | None) -> Tensor | None:
    """The labels, for players that have an embedding of classes; None for those that have none.

    Raises: ValueError if they are missing, or given to a player without classes.
    """
    if embedding is None and y is not None:
        raise ValueError("y was given to a player without classes")
    if embedding is not None and y is None:
        raise ValueError("a player with classes needs y")
    return y


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context on the device of `x` in which autocast does not lower the precision."""
    if torch.compiler.is_exporting():  # a program has no autocast, and could not be saved with this in it
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resamples (N, C, h, w) to (N, C, *size) bilinearly, with antialiasing where it gets smaller.

    By a factor of two this is the filter [1, 3, 3, 1] / 8 of R3GAN and StyleGAN2, up and down. As two products with
    matrices: on CPUs the library's filter is several times slower, its gradient above all.
    """
    rows, columns = (filter_matrix(*sides, x.dtype, x.device) for sides in zip(size, x.shape[2:], strict=True))
    n, channels, height, width = x.shape
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        resized: Tensor = rows @ x @ columns.T
        return resized
    places = rows @ x.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    places = columns @ places.view(n * size[0], width, channels)
    return places.view(n, *size, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def filter_matrix(after: int, before: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (after, before) that resamples a line bilinearly, with antialiasing where it gets shorter."""
    with torch.inference_mode(False), torch.no_grad():  # it is kept, and may be needed in training next
        lines = torch.eye(before)[None, None]
        resampled = F.interpolate(lines, (after, before), mode="bilinear", antialias=after < before)
        return resampled[0, 0].to(device, dtype)


class Latent(nn.Module):
    """The input of a generator: z (N, z_dim), followed by a learned embedding of the label in as many numbers.

    An embedding of one class starts out N(0, 1), as loud as z itself, and may become louder; with `loudness` its root
    mean square is always that. Mixtures of classes get mixtures of embeddings. `size` is how many numbers come out a
    sample.
    """

    def __init__(self, z_dim: int, classes: int, loudness: float | None = None) -> None:
        super().__init__()
        self.loudness = loudness
        self.embedding = nn.Linear(classes, z_dim, bias=False) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight)
        self.size = 2 * z_dim if classes else z_dim

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Gives (N, size). Raises ValueError if `y` (N, classes) is missing, or given to players without classes."""
        y = labels_for(self.embedding, y)
        if self.embedding is None or y is None:
            return z
        if self.loudness is None:
            return torch.cat([z, self.embedding(y)], dim=1)
        classes = self.embedding.weight
        classes = self.loudness * classes * torch.rsqrt(classes.square().mean(0) + 1e-8)
        return torch.cat([z, F.linear(y, classes)], dim=1)


class Head(nn.Module):
    """The head of a discriminator: logits from features f (N, size), with labels by projection, in float32.

    logit = <v, f> + b + <V y, f>: a verdict on the picture, and one on whether it goes with the label.
    Source: Miyato & Koyama 2018, eq. 3.
    """

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.verdict = nn.Linear(size, 1)
        draw_weights(self.verdict, gain=1)
        self.embedding = nn.Linear(classes, size, bias=False) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=size**-0.5)  # <V y, f> starts with the variance of f

    def forward(self, features: Tensor, y: Tensor | None) -> Tensor:
        """Gives (N,). Raises ValueError if `y` (N, classes) is missing, or given to players without classes."""
        with full_precision(features):
            features = at_least_float32(features)
            logits: Tensor = self.verdict(features).squeeze(1)
            y = labels_for(self.embedding, y)
            if self.embedding is None or y is None:
                return logits
            match: Tensor = (self.embedding(y.to(features.dtype)) * features).sum(1)
            return logits + match
