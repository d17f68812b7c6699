"""A light generator for quick results on few pictures, in the manner of FastGAN.

Each stage doubles the sides by repeating places, and has one convolution and a gated linear unit; the coarsest stage
also says, channel by channel, how strongly the finest is to speak (skip-layer excitation), which shortens the way of
gradients. FastGAN normalises over the batch; here each place is normalised over its channels (Karras et al. 2018,
section 4.2), so that a sample depends on its own numbers alone. Convolutions come in two, of each channel and of all
channels, which learn more in the same time. The finest stage has half the picture's sides, and deals its channels out
into patches of 2x2 pixels: a stage at full resolution would cost a CPU as much as all others together. Dealing leaves a
chequerboard, which a fixed filter takes away. Sources: Liu et al. 2021 (FastGAN, arXiv 2101.04775), section 3; Dauphin
et al. 2017 (gated linear units); Chollet 2017 (separable convolutions, arXiv 1610.02357).
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.convolution import Convolution
from sparring.networks.layers import (
    Latent,
    Shape,
    at_least_float32,
    check,
    draw_weights,
    full_precision,
    halvings,
    widths,
)

PATCH = 2
"""Pixels a side that a place of the finest stage becomes."""

MOST_CHANNELS = 512

LOUDNESS = 0.2
"""Of a class beside z. Where both are as loud, a quick game ends with one picture a class: it is the easier way to be
told from other classes. On CIFAR-10 coverage was .09 after two minutes of one core, against .75 after 75 seconds."""

GATED = 1.0
"""Gain of the layers before a gate."""

EPS = 1e-4


class Generator(nn.Module):
    """z (N, z_dim) and labels to pictures (N, C, H, W), about in [-1, 1] once trained, not bounded.

    `width` is the number of channels of the finest stage; it doubles with each coarser one, up to 512. `depth` is the
    number of convolutions at each stage.
    """

    def __init__(self, shape: Shape, *, z_dim: int, classes: int = 0, width: int, depth: int) -> None:
        super().__init__()
        check(shape, z_dim=z_dim, width=width, depth=depth)
        channels, *size = shape
        self.size = (size[0], size[1])
        grids = halvings(*(-(-side // PATCH) for side in self.size))
        channels_at = widths(width, len(grids), MOST_CHANNELS)
        self.coarsest = (2 * channels_at[-1], *grids[-1])
        self.latent = Latent(z_dim, classes, LOUDNESS)
        self.start = nn.Linear(self.latent.size, 2 * channels_at[-1] * grids[-1][0] * grids[-1][1])
        draw_weights(self.start, gain=1)
        self.stages = nn.ModuleList(
            Stage(channels_at[level + 1], channels_at[level], grids[level], depth)
            for level in reversed(range(len(grids) - 1))
        )
        self.excite = Excitation(channels_at[-1], channels_at[0])
        self.picture = separable(channels_at[0], channels * PATCH**2, gain=1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """See the class. `y` is float (N, classes), one-hot or a mixture."""
        first = self.start(self.latent(z, y)).unflatten(1, self.coarsest)
        x = first = gate(first.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
        x = self.excite(first, x)
        with full_precision(x):
            pictures = smooth(F.pixel_shuffle(self.picture(at_least_float32(x)), PATCH))
        height, width = self.size
        return pictures[:, :, :height, :width]


class Stage(nn.Module):
    """From (N, before, h, w) to (N, after, *size): places repeated, then `depth` gated convolutions."""

    def __init__(self, before: int, after: int, size: tuple[int, int], depth: int) -> None:
        super().__init__()
        self.size = size
        self.first = gated(before, after)
        self.further = nn.ModuleList(gated(after, after) for _ in range(depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = gate(self.first(F.interpolate(x, self.size, mode="nearest")))
        for layer in self.further:
            x = x + gate(layer(x))
        return x


class Excitation(nn.Module):
    """Skip-layer excitation: each channel of a fine map times what the coarse map says (Liu et al. 2021, eq. 1)."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(coarse * 16, fine)
        self.strength = nn.Linear(fine, fine)
        for layer in (self.squeeze, self.strength):
            draw_weights(layer, gain=1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """The shape of `fine`."""
        squeezed = F.silu(self.squeeze(averaged(coarse, 4).flatten(1)))
        return fine * torch.sigmoid(self.strength(squeezed))[:, :, None, None]


def averaged(x: Tensor, places: int) -> Tensor:
    """`F.adaptive_avg_pool2d(x, places)` as two products with matrices: ONNX pools only to sizes that divide."""
    if x.shape[2:] == (places, places):
        return x
    rows, columns = (averages(places, int(side), x.dtype, x.device) for side in x.shape[2:])
    return rows @ x @ columns.T


@lru_cache(maxsize=16)
def averages(places: int, side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (places, side) that pools a line."""
    with torch.inference_mode(False), torch.no_grad():  # it is kept, and may be needed in training next
        return F.adaptive_avg_pool1d(torch.eye(side), places).T.contiguous().to(device, dtype)


def gated(before: int, after: int) -> nn.Sequential:
    """A convolution that gives values and gates of `after` channels."""
    return separable(before, 2 * after, GATED)


def separable(before: int, after: int, gain: float) -> nn.Sequential:
    """A 3x3 convolution in two: one of each channel over the places around, then one of all channels at each place."""
    around = Convolution(before, before, 3, padding=1, groups=before, bias=False)
    across = Convolution(before, after, 1)
    draw_weights(around, gain=1)
    draw_weights(across, gain)
    return nn.Sequential(around, across)


def gate(x: Tensor) -> Tensor:
    """Normalises each place over its channels, then takes half of them times the logistic function of the others."""
    if not torch.is_grad_enabled():
        value, share, _ = normalised(x)
        return value * share
    gated: Tensor = Gate.apply(x)  # type: ignore[no-untyped-call]
    return gated


class Gate(torch.autograd.Function):
    """`gate` with the gradient worked out by hand.

    On a CPU the library's way took a third of this generator's time. In channels last one half of the channels lies
    between pieces of the other, and functions of such a half are slow. So each half is multiplied first, which is done
    anyway and writes it in one piece, and the functions follow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """(N, 2 C, H, W) to (N, C, H, W)."""
        value, share, scale = normalised(x)
        ctx.save_for_backward(x, value, share, scale)
        return value * share

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """With y = x / rms(x) and g its gradient, (g - y mean(g y)) / rms(x)."""
        x, value, share, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # it is to be differentiated again, which no game here asks for
            by_x: Tensor = torch.autograd.grad(formula(x), x, gradient, create_graph=True)[0]
            return by_x
        by_normalised = torch.empty_like(x)
        by_value, by_share = by_normalised.chunk(2, 1)
        torch.mul(gradient, share, out=by_value)
        torch.mul(torch.ops.aten.sigmoid_backward(gradient, share), value, out=by_share)
        places = x * scale
        along = torch.linalg.vecdot(by_normalised, places, dim=1).unsqueeze(1) / x.shape[1]
        return torch.addcmul(by_normalised, places, along, value=-1).mul_(scale)


def formula(x: Tensor) -> Tensor:
    """`gate` as one would write it, for the library to differentiate."""
    return F.glu(x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPS), dim=1)


def normalised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of x (N, 2 C, H, W): half of the channels of a place, normalised over all; the logistic function of the others,
    normalised; and what normalises, (N, 1, H, W)."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    scale = torch.rsqrt(length.square() / x.shape[1] + EPS).to(x.dtype)
    value, share = x.chunk(2, 1)
    return value * scale, torch.sigmoid(share * scale), scale


def smooth(x: Tensor) -> Tensor:
    """The filter [1, 2, 1] / 4 along both sides: what changes from pixel to pixel goes, and coarser detail stays."""
    taps = x.new_tensor([1, 2, 1]) / 4
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
