"""Depthwise convolutions of frozen networks, with a gradient that is quick on CPUs in bf16.

A discriminator that looks through a frozen network spends most of its time on the way back to the picture, and there,
in bf16 on a CPU, the library's gradient of a strided depthwise convolution takes sixteen times as long as the
convolution itself. But the gradient is a convolution too: with the kernel turned by 180 degrees, of the incoming
gradient with zeros between its places (Dumoulin & Visin 2016, relationship 14). Done so, EfficientNet-Lite0 gets there
and back in a third to two fifths of the time (`benchmarks/feature_gradient.py`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Depthwise(nn.Conv2d):
    """A depthwise convolution of an odd kernel with `same` padding, whose weights take no gradient."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, *, bias: bool = False) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        quick = x.dtype == self.weight.dtype == torch.bfloat16 and x.device.type == "cpu"
        if not quick or self.weight.requires_grad:
            return super().forward(x)
        convolved: Tensor = Convolve.apply(x, self.weight, self.bias, self.stride[0])  # type: ignore[no-untyped-call]
        return convolved


class Convolve(torch.autograd.Function):
    """The convolution as a function of its input alone; its gradient has gradients too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        """x (N, C, H, W), weight (C, 1, k, k), bias (C,)."""
        ctx.save_for_backward(weight)
        ctx.stride, ctx.size = stride, x.shape[2:]
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """The transpose of the convolution."""
        (weight,) = ctx.saved_tensors
        spread = apart(gradient, ctx.stride)[:, :, : ctx.size[0], : ctx.size[1]]
        turned = weight.flip((2, 3))
        return F.conv2d(spread, turned, None, 1, weight.shape[-1] // 2, groups=len(weight)), None, None, None


def apart(x: Tensor, stride: int) -> Tensor:
    """(N, C, h, w) with zeros between places, (N, C, stride * h, stride * w), channels last in memory."""
    places = x.permute(0, 2, 3, 1)
    if stride > 1:
        n, height, width, channels = places.shape
        spread = places.new_zeros(n, height, stride, width, stride, channels)
        spread[:, :, 0, :, 0] = places
        places = spread.view(n, height * stride, width * stride, channels)
    return places.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
