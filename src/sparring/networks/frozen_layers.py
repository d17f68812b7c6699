"""Convolutions of frozen networks, whose gradient by the picture is quick on CPUs in bf16.

A discriminator that looks through a frozen network spends most of its time on the way back to the picture, and there,
in bf16 on a CPU, the library's gradient of a strided depthwise convolution takes sixteen times as long as the
convolution itself. But the gradient is a convolution too: with the kernel turned by 180 degrees, of the incoming
gradient with zeros between its places (Dumoulin & Visin 2016, relationship 14). That of a 1x1 convolution is a product
of matrices. A convolution and the ReLU6 after it are one pass over memory. Done so, EfficientNet-Lite0 gets there and
back in a third to two fifths of the time (`benchmarks/feature_gradient.py`).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks.convolution import Geometry, fused_convolution, fuses, geometry_of, library_output
from sparring.networks.folding import Unit

SIX = (0.0, 6.0)


class FrozenUnit(Unit):
    """`Unit` with ReLU6 or, with `clips` off, without activation, quick once it is folded and takes no gradient itself.

    Convolutions have odd kernels with `same` padding.
    """

    def __init__(self, conv: nn.Conv2d, eps: float, *, clips: bool) -> None:
        activation: Callable[[Tensor], Tensor] = relu6 if clips else identity
        super().__init__(conv, eps, activation)
        self.clips = clips

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        weight = self.conv.weight
        quick = x.dtype == weight.dtype == torch.bfloat16 and x.device.type == "cpu"
        if not quick or weight.requires_grad or not isinstance(self.bn, nn.Identity):
            return super().forward(x)
        found: Tensor = Through.apply(x, weight, self.conv.bias, geometry_of(self.conv), self.clips)  # type: ignore[no-untyped-call]
        return found


class Through(torch.autograd.Function):
    """The convolution, clipped to [0, 6] if asked for, as a function of its input alone; its gradient has gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, clips: bool) -> Tensor:
        """x (N, C, H, W), weight (C', C / groups, k, k), bias (C',)."""
        ctx.geometry, ctx.size = geometry, x.shape[2:]
        if not clips:
            ctx.save_for_backward(weight)
            return library_output(x, weight, bias, geometry)
        if fuses(x):
            clipped = fused_convolution(x, weight, bias, geometry, "hardtanh", SIX)
        else:
            clipped = relu6(library_output(x, weight, bias, geometry))
        ctx.save_for_backward(weight, clipped)
        return clipped

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The transpose of the convolution, of the gradient where nothing was clipped."""
        weight, *clipped = ctx.saved_tensors
        if clipped:
            gradient = torch.ops.aten.hardtanh_backward(gradient, *clipped, *SIX)
        return transpose(gradient, weight, ctx.geometry, ctx.size), None, None, None, None


def transpose(gradient: Tensor, weight: Tensor, geometry: Geometry, size: torch.Size) -> Tensor:
    """The gradient by an input of height and width `size`, from that by the output (N, C', h, w)."""
    (stride, _), (padding, _), groups, _ = geometry
    if groups == len(weight):
        spread = apart(gradient, stride)[:, :, : size[0], : size[1]]
        return F.conv2d(spread, weight.flip((2, 3)), None, 1, padding, groups=groups)
    if weight.shape[-1] == stride == 1:
        return (gradient.permute(0, 2, 3, 1) @ weight.flatten(1)).permute(0, 3, 1, 2)
    beyond = [side - 1 - (places - 1) * stride for side, places in zip(size, gradient.shape[2:], strict=True)]
    return F.conv_transpose2d(gradient, weight, None, stride, padding, beyond, groups)


def apart(x: Tensor, stride: int) -> Tensor:
    """(N, C, h, w) with zeros between places, (N, C, stride * h, stride * w), channels last in memory."""
    places = x.permute(0, 2, 3, 1)
    if stride > 1:
        n, height, width, channels = places.shape
        spread = places.new_zeros(n, height, stride, width, stride, channels)
        spread[:, :, 0, :, 0] = places
        places = spread.view(n, height * stride, width * stride, channels)
    return places.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def relu6(x: Tensor) -> Tensor:
    """In place, since a tenth of the time is in new memory."""
    return F.relu6(x, inplace=True)


def identity(x: Tensor) -> Tensor:
    """Nothing happens between a narrow convolution and the next wide one."""
    return x
