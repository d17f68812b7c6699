"""Convolutions whose gradients have quick gradients, which exact penalties ask for.

What the library does for the second derivative of a convolution takes the channels apart group by group, and sees a 1x1
convolution of pictures as one with a kernel as large as the picture: slow, and on some processors more than that (with
AMX, oneDNN 3 ends the process in a division by zero). But a convolution is linear in its input and in its weight: the
form <g, conv(x, w)> has three derivatives, the output, the gradient of the input and the gradient of the weight, and
each has the other two as derivatives, however often one differentiates.

In bf16 on a CPU a layer and the activation that follows are one pass of the library. In a pass of its own the
activation reads and writes some megabytes once more, which takes as long as many a layer.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks import doubling
from sparring.networks.layers import SLOPE, times_slope


class Geometry(NamedTuple):
    """How a convolution moves over its input; `transposed` convolutions take the way back."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    transposed: bool = False

    def doubles(self, weight: Tensor) -> bool:
        """Whether it goes to a grid of half the sides, or of twice the sides if transposed, by a 4x4 kernel."""
        halving = self.stride == (2, 2) and self.padding == (1, 1) and self.groups == 1
        return halving and weight.shape[2:] == (doubling.TAPS, doubling.TAPS)


Wanted = tuple[bool, bool]
"""Which derivatives are: by the input, by the weight."""


class Convolution(nn.Conv2d):
    """`nn.Conv2d` without dilation, padded by so many zeros; of channels last, 1x1 is a product of matrices.

    With `activates` a leaky ReLU follows, the one of `activate`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        groups: int = 1,
        *,
        bias: bool = True,
        activates: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias)
        self.activates = activates

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, h, w)."""
        pointwise = self.kernel_size == self.stride == (1, 1) and self.groups == 1 and self.padding == (0, 0)
        if pointwise and x.is_contiguous(memory_format=torch.channels_last):
            places, weight = x.permute(0, 2, 3, 1), self.weight.flatten(1)
            mixed = product(places, weight, self.bias) if self.activates else F.linear(places, weight, self.bias)
            return mixed.permute(0, 3, 1, 2)
        return convolve(x, self.weight, self.bias, geometry_of(self), activates=self.activates)


class TransposedConvolution(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without padding of the output and without dilation."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, h, w) to (N, out_channels, H, W)."""
        return convolve(x, self.weight, self.bias, geometry_of(self))


def geometry_of(layer: nn.Conv2d | nn.ConvTranspose2d) -> Geometry:
    """How a layer's convolution moves."""
    stride, padding = (layer.stride[0], layer.stride[1]), (int(layer.padding[0]), int(layer.padding[1]))
    return Geometry(stride, padding, layer.groups, isinstance(layer, nn.ConvTranspose2d))


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, *, activates: bool = False) -> Tensor:
    """The convolution of x (N, C, H, W), in the precision of autocast where that is on, activated if asked for."""
    x, weight, bias = lowered(x), lowered(weight), None if bias is None else lowered(bias)
    if not torch.is_grad_enabled():
        return library_activated(x, weight, bias, geometry) if activates else library_output(x, weight, bias, geometry)
    return output(x, weight, bias, geometry, activates=activates)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`activate` of the linear layer x (N, ..., C) to (N, ..., out), in the precision of autocast where that is on."""
    x, weight, bias = lowered(x), lowered(weight), None if bias is None else lowered(bias)
    if not torch.is_grad_enabled():
        return library_product(x, weight, bias)
    activated: Tensor = Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return activated


def lowered(x: Tensor) -> Tensor:
    """As autocast hands a tensor to the library's own convolution."""
    kind = x.device.type
    if x.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


class Output(torch.autograd.Function):
    """conv(x, w) + b, or its activation."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, activates: bool
    ) -> Tensor:
        """Has the shape of g."""
        ctx.geometry = geometry
        if not activates:
            ctx.save_for_backward(x, weight)
            return library_output(x, weight, bias, geometry)
        activated = library_activated(x, weight, bias, geometry)
        ctx.save_for_backward(x, weight, activated)
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Of input, weight and bias."""
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        x, weight, *activated = ctx.saved_tensors
        if activated:
            gradient = times_slope(gradient, *activated)
        _, *parameters = ctx.next_functions
        wanted = of_x, of_weight and is_wanted(parameters[0][0])
        bias = of_bias and is_wanted(parameters[1][0])
        if not torch.is_grad_enabled():
            return *library_gradients(gradient, x, weight, ctx.geometry, wanted, bias=bias), None, None
        by_x, by_weight = gradients(gradient, x, weight, ctx.geometry, wanted)
        by_bias = gradient.sum((0, 2, 3)) if bias else None
        return by_x, by_weight, by_bias, None, None


class Product(torch.autograd.Function):
    """`activate` of x w^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x (N, ..., C), weight (out, C), bias (out,) to (N, ..., out)."""
        activated = library_product(x, weight, bias)
        ctx.save_for_backward(x, weight, activated)
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Of input, weight and bias."""
        of_x, of_weight, of_bias = ctx.needs_input_grad
        x, weight, activated = ctx.saved_tensors
        _, *parameters = ctx.next_functions
        rows = times_slope(gradient, activated).flatten(0, -2)
        by_x = (rows @ weight).view_as(x) if of_x else None
        by_weight = crossed(rows, x.flatten(0, -2)) if of_weight and is_wanted(parameters[0][0]) else None
        by_bias = rows.sum(0) if of_bias and is_wanted(parameters[1][0]) else None
        return by_x, by_weight, by_bias


class Gradients(torch.autograd.Function):
    """The derivatives of <g, conv(x, w)> by x and by w, or one of them."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Wanted
    ) -> tuple[Tensor | None, Tensor | None]:
        """They have the shapes of x and of w."""
        ctx.save_for_backward(gradient, x, weight)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        by_x, by_weight, _ = library_gradients(gradient, x, weight, geometry, wanted)
        return by_x, by_weight

    @staticmethod
    def backward(
        ctx: Any, change_by_x: Tensor | None, change_by_weight: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Of the gradient that came in, of the input and of the weight."""
        gradient, x, weight = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        of_gradient, of_x, of_weight, _, _ = ctx.needs_input_grad
        by_gradient = by_x = by_weight = None
        if change_by_x is not None:
            if of_gradient:
                by_gradient = output(change_by_x, weight, None, geometry)
            if of_weight:
                _, by_weight = gradients(gradient, change_by_x, weight, geometry, (False, True))
        if change_by_weight is not None:
            if of_gradient:
                along = output(x, change_by_weight, None, geometry)
                by_gradient = along if by_gradient is None else by_gradient + along
            if of_x:
                by_x, _ = gradients(gradient, x, change_by_weight, geometry, (True, False))
        return by_gradient, by_x, by_weight, None, None


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """a^T b of (rows, A) and (rows, B): of very many rows the library is quicker if the first is the narrower."""
    return a.T @ b if a.shape[1] <= b.shape[1] else (b.T @ a).T


def is_wanted(node: torch.autograd.graph.Node) -> bool:
    """Whether the backward pass that is under way goes on to a node.

    A penalty asks for slopes by the pictures alone. The library's own functions are told so by the engine; those in
    Python have to ask, or would compute the derivatives by their weights for nothing.
    """
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except RuntimeError:  # a leaf whose gradient `torch.autograd.grad` was asked for
        return True


def output(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, *, activates: bool = False) -> Tensor:
    """conv(x, w) + b, or its activation."""
    convolved: Tensor = Output.apply(x, weight, bias, geometry, activates)  # type: ignore[no-untyped-call]
    return convolved


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Wanted
) -> tuple[Tensor | None, Tensor | None]:
    """See `Gradients`."""
    found: tuple[Tensor | None, Tensor | None] = Gradients.apply(gradient, x, weight, geometry, wanted)  # type: ignore[no-untyped-call]
    return found


def library_output(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """conv(x, w) + b by the library, or by a product where that is quicker."""
    stride, padding, groups, transposed = geometry
    if transposed:
        if bias is None and geometry.doubles(weight) and doubling.enlarges_by_product(x, weight):
            return doubling.enlarged(x, weight)
        return F.conv_transpose2d(x, weight, bias, stride, padding, 0, groups)
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


def library_activated(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """`activate` of conv(x, w) + b by the library, in one pass where it has one."""
    if geometry.transposed or not fuses(x):
        return F.leaky_relu(library_output(x, weight, bias, geometry), SLOPE)
    return fused_convolution(x, weight, in_one_piece(bias), geometry)


def library_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`activate` of x w^T + b by the library, in one pass where it has one."""
    if not fuses(x):
        return F.leaky_relu(F.linear(x, weight, bias), SLOPE)
    return fused_product(x, weight, in_one_piece(bias))


def in_one_piece(bias: Tensor | None) -> Tensor | None:
    """A bias whose numbers lie side by side, as the library's single passes take them to, without looking."""
    return None if bias is None else bias.contiguous()


def fuses(x: Tensor) -> bool:
    """Whether the library has one pass for a layer and its activation, and may use it: oneDNN can be switched off.

    Those passes are what PyTorch's compiler writes for CPUs, which itself wants to see the two apart.
    """
    quick = x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.numel() > 0
    return quick and not torch.compiler.is_compiling() and bool(torch.backends.mkldnn.enabled) and has_fused_layers()


@cache
def has_fused_layers() -> bool:
    """Whether this build and this processor have oneDNN's layers with an activation, in bf16.

    Their names are PyTorch's own business and may change, so they are tried, and done without where they fail.
    """
    x, weight = torch.zeros(1, 8, 1, 1, dtype=torch.bfloat16), torch.zeros(8, 8, 1, 1, dtype=torch.bfloat16)
    with torch.no_grad():
        try:
            if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
                return False
            once = Geometry((1, 1), (0, 0), 1)
            fused_convolution(x, weight, None, once)
            fused_convolution(x, weight, None, once, "hardtanh", (0.0, 6.0))
            fused_product(x.flatten(1), weight.flatten(1), None)
        except (AttributeError, RuntimeError, TypeError):
            return False
    return True


def fused_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    activation: str = "leaky_relu",
    numbers: Sequence[float] = (SLOPE,),
) -> Tensor:
    """conv(x, w) + b and an activation in one pass: `activate`, or another of the library's with its numbers."""
    stride, padding, groups, _ = geometry
    activated: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, (1, 1), groups, activation, list(numbers), ""
    )
    return activated


def fused_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`activate` of x w^T + b in one pass."""
    activated: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "leaky_relu", [SLOPE], "")
    return activated


def library_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: Wanted, *, bias: bool = False
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The derivatives of <g, conv(x, w) + b> by x, by w and by b: by the library, or by what is quicker."""
    stride, padding, groups, transposed = geometry
    same = stride == (1, 1) and tuple(2 * side + 1 for side in padding) == weight.shape[2:] and not transposed
    by_x, turns = None, wanted[0] and same and groups > 1
    if turns:
        # A convolution with the turned kernel; in bf16 the library's own gradient can be far slower.
        out, into, height, width = weight.shape
        turned = weight.view(groups, out // groups, into, height, width).transpose(1, 2).flatten(0, 1).flip((2, 3))
        by_x = F.conv2d(gradient, turned, None, stride, padding, 1, groups)
    by_weight, (coarse, fine) = None, (x, gradient) if transposed else (gradient, x)
    whole = fine.shape[2:] == (2 * coarse.shape[2], 2 * coarse.shape[3])
    multiplies = wanted[1] and whole and geometry.doubles(weight) and doubling.learns_by_product(fine, coarse)
    if multiplies:
        by_weight = doubling.weight_gradient(fine, coarse)
    asked = wanted[0] and not turns, wanted[1] and not multiplies
    by_bias = gradient.sum((0, 2, 3)) if bias and not asked[1] else None
    if not any(asked):
        return by_x, by_weight, by_bias
    found = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        gradient.shape[1:2] if bias and asked[1] else None,
        stride,
        padding,
        (1, 1),
        transposed,
        (0, 0),
        groups,
        (*asked, bias and asked[1]),
    )
    by_x, by_weight, by_bias = (
        other if ours is None else ours for ours, other in zip((by_x, by_weight, by_bias), found, strict=True)
    )
    return by_x, by_weight, by_bias
