"""Convolutions whose gradients have quick gradients, which exact penalties ask for.

What the library does for the second derivative of a convolution takes the channels apart group by group, and sees a 1x1
convolution of pictures as one with a kernel as large as the picture: slow, and on some processors more than that (with
AMX, oneDNN 3 ends the process in a division by zero). But a convolution is linear in its input and in its weight: the
form <g, conv(x, w)> has three derivatives, the output, the gradient of the input and the gradient of the weight, and
each has the other two as derivatives, however often one differentiates.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Geometry(NamedTuple):
    """How a convolution moves over its input; `transposed` convolutions take the way back."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    transposed: bool = False


class Convolution(nn.Conv2d):
    """`nn.Conv2d` with padding by zeros and no dilation; 1x1 is a product of matrices, quickest in channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, h, w)."""
        if self.kernel_size == self.stride == (1, 1) and self.groups == 1 and self.padding == (0, 0):
            return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        stride, padding = (self.stride[0], self.stride[1]), (int(self.padding[0]), int(self.padding[1]))
        return convolve(x, self.weight, self.bias, Geometry(stride, padding, self.groups))


class TransposedConvolution(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without padding of the output and without dilation."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, h, w) to (N, out_channels, H, W)."""
        stride, padding = (self.stride[0], self.stride[1]), (int(self.padding[0]), int(self.padding[1]))
        return convolve(x, self.weight, self.bias, Geometry(stride, padding, self.groups, transposed=True))


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """The convolution of x (N, C, H, W), in the precision of autocast where that is on."""
    if not torch.is_grad_enabled():
        return library_output(x, weight, bias, geometry)
    x, weight = lowered(x), lowered(weight)
    return differentiable(Output, x, weight, None if bias is None else lowered(bias), geometry)


def lowered(x: Tensor) -> Tensor:
    """As autocast hands a tensor to the library's own convolution."""
    kind = x.device.type
    if x.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


class Output(torch.autograd.Function):
    """conv(x, w) + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        """Has the shape of g."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return library_output(x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Of input, weight and bias."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            differentiable(InputGradient, gradient, x, weight, ctx.geometry) if of_x else None,
            differentiable(WeightGradient, gradient, x, weight, ctx.geometry) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
            None,
        )


class InputGradient(torch.autograd.Function):
    """The derivative of <g, conv(x, w)> by x; of x it takes the shape only."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        """Has the shape of x."""
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        return library_gradient(gradient, x, weight, geometry, of_x=True)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        """Of the gradient that came in and of the weight."""
        gradient, weight = ctx.saved_tensors
        of_gradient, _, of_weight, _ = ctx.needs_input_grad
        return (
            differentiable(Output, change, weight, None, ctx.geometry) if of_gradient else None,
            None,
            differentiable(WeightGradient, gradient, change, weight, ctx.geometry) if of_weight else None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """The derivative of <g, conv(x, w)> by w; of w it takes the shape only."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        """Has the shape of w."""
        ctx.save_for_backward(gradient, x)
        ctx.geometry = geometry
        return library_gradient(gradient, x, weight, geometry, of_x=False)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Of the gradient that came in and of the input."""
        gradient, x = ctx.saved_tensors
        of_gradient, of_x, _, _ = ctx.needs_input_grad
        return (
            differentiable(Output, x, change, None, ctx.geometry) if of_gradient else None,
            differentiable(InputGradient, gradient, x, change, ctx.geometry) if of_x else None,
            None,
            None,
        )


def differentiable(derivative: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """One of the three, with a gradient of its own."""
    found: Tensor = derivative.apply(*arguments)  # type: ignore[no-untyped-call]
    return found


def library_output(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """conv(x, w) + b by the library, with its gradient."""
    stride, padding, groups, transposed = geometry
    if transposed:
        return F.conv_transpose2d(x, weight, bias, stride, padding, 0, groups)
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


def library_gradient(gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, *, of_x: bool) -> Tensor:
    """The derivative of <g, conv(x, w)> by x or by w."""
    stride, padding, groups, transposed = geometry
    same = stride == (1, 1) and tuple(2 * side + 1 for side in padding) == weight.shape[2:] and not transposed
    if of_x and same:
        # A convolution with the turned kernel; for groups in bf16 the library's own gradient can be far slower.
        out, into, height, width = weight.shape
        turned = weight.view(groups, out // groups, into, height, width).transpose(1, 2).flatten(0, 1).flip((2, 3))
        return F.conv2d(gradient, turned, None, stride, padding, 1, groups)
    gradients = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), transposed, (0, 0), groups, (of_x, not of_x, False)
    )
    wanted: Tensor = gradients[0] if of_x else gradients[1]
    return wanted
