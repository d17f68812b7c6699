"""Convolutions between grids by products: the same numbers as the library's, and used only where they are quicker."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.networks import doubling
from sparring.networks.convolution import Convolution, TransposedConvolution

GRIDS = [(2, 3, 5), (1, 4, 4), (3, 1, 2), (0, 4, 4)]
"""Samples, and the coarse grid."""


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    values = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("out", [1, 3])
@pytest.mark.parametrize(("n", "height", "width"), GRIDS)
def test_enlarging_by_a_product_is_the_transposed_convolution(n: int, height: int, width: int, out: int) -> None:
    x, weight = drawn(n, 6, height, width), drawn(6, out, 4, 4)
    by_product = doubling.enlarged(x, weight)
    torch.testing.assert_close(by_product, F.conv_transpose2d(x, weight, stride=2, padding=1))


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(("n", "height", "width"), GRIDS)
def test_the_gradient_by_a_product_is_that_of_the_convolution_both_ways(
    n: int, height: int, width: int, channels: int
) -> None:
    fine, coarse = drawn(n, channels, 2 * height, 2 * width), drawn(n, 7, height, width)
    found = doubling.weight_gradient(fine, coarse)
    for transposed, (gradient, x) in {False: (coarse, fine), True: (fine, coarse)}.items():
        weight = torch.zeros(7, channels, 4, 4, dtype=torch.float64)
        _, expected, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, (2, 2), (1, 1), (1, 1), transposed, (0, 0), 1, (False, True, False)
        )
        torch.testing.assert_close(found, expected)


def test_a_layer_that_enlarges_by_a_product_has_derivatives_of_its_derivatives() -> None:
    torch.manual_seed(0)
    layer = TransposedConvolution(3, 2, 4, 2, padding=1, bias=False).double()
    x = drawn(2, 3, 2, 3).requires_grad_()
    assert doubling.enlarges_by_product(x, layer.weight)
    assert torch.autograd.gradgradcheck(lambda x, weight: _convolved(layer, x, weight), (x, layer.weight))


def _convolved(layer: TransposedConvolution, x: Tensor, weight: Tensor) -> Tensor:
    out: Tensor = torch.func.functional_call(layer, {"weight": weight}, (x,))
    return out


@pytest.mark.parametrize("transposed", [False, True])
def test_in_bf16_a_layer_learns_what_it_learns_in_full_precision(transposed: bool) -> None:
    torch.manual_seed(0)
    kind, x = (TransposedConvolution, drawn(4, 16, 4, 4)) if transposed else (Convolution, drawn(4, 16, 8, 8))
    layer = kind(16, 24, 4, 2, padding=1, bias=False).double()
    (expected,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    layer, x = layer.bfloat16(), x.bfloat16()
    with mock.patch.object(doubling, "weight_gradient", wraps=doubling.weight_gradient) as by_product:
        (found,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    by_product.assert_called_once()
    assert (found.double() - expected).norm() < 0.02 * expected.norm()


def test_a_grid_whose_half_is_no_whole_number_is_left_to_the_library() -> None:
    torch.manual_seed(0)
    layer, x = Convolution(6, 8, 4, 2, padding=1, bias=False).double(), drawn(2, 6, 5, 7)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    layer = layer.bfloat16()
    (found,) = torch.autograd.grad(layer(x.bfloat16()).square().sum(), layer.weight)
    assert (found.double() - expected).norm() < 0.02 * expected.norm()


def test_wide_grids_full_precision_and_other_layouts_are_left_to_the_library() -> None:
    fine, coarse = (drawn(2, 8, side, side, dtype=torch.bfloat16) for side in (8, 4))
    assert doubling.learns_by_product(fine, coarse)
    assert not doubling.learns_by_product(fine.float(), coarse.float())
    assert not doubling.learns_by_product(fine.contiguous(), coarse)
    assert not doubling.learns_by_product(*(drawn(2, 8, side, side, dtype=torch.bfloat16) for side in (16, 8)))
    assert doubling.enlarges_by_product(coarse, drawn(8, 4, 4, 4))
    assert not doubling.enlarges_by_product(coarse, drawn(8, 5, 4, 4))
    assert not doubling.enlarges_by_product(coarse.contiguous(), drawn(8, 4, 4, 4))


def test_a_program_for_export_has_the_librarys_layer() -> None:
    layer = TransposedConvolution(8, 3, 4, 2, padding=1, bias=False).eval().requires_grad_(False)
    program = torch.export.export(layer, (drawn(2, 8, 4, 4, dtype=torch.float32),))
    assert any("conv_transpose2d" in str(node.target) for node in program.graph.nodes)
