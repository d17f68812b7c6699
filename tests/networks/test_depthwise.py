"""Depthwise convolutions whose gradient is quick in bf16."""

import pytest
import torch
from torch import Tensor, nn

from sparring.networks.depthwise import Convolve, Depthwise, apart


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (5, 12)], ids=str)
def test_the_gradient_is_that_of_the_convolution(size: tuple[int, int], stride: int, kernel: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, kernel, stride, kernel // 2, groups=4).double().requires_grad_(False)
    x = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    expected = layer(x)
    found = Convolve.apply(x, layer.weight, layer.bias, stride)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_gradient_has_a_gradient() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 1, 3, 3, dtype=torch.float64)
    x = torch.randn(1, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: Convolve.apply(x, weight, None, 2).square(), x)


def test_zeros_come_between_places() -> None:
    assert apart(torch.ones(1, 1, 2, 2), 2).tolist() == [[[[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4]]]
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(apart(x, 1), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_in_bf16_a_frozen_layer_agrees_with_float32(stride: int) -> None:
    torch.manual_seed(0)
    layer = Depthwise(8, 5, stride).requires_grad_(False)
    x = torch.randn(2, 8, 16, 16).bfloat16()

    def gradient(layer: nn.Module, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        layer(x).float().square().sum().backward()
        assert x.grad is not None
        return x.grad.float()

    expected = gradient(layer, x.float())
    found = gradient(layer.bfloat16(), x)
    assert type(layer(x.requires_grad_()).grad_fn).__name__ == "ConvolveBackward"
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_in_float32_under_autocast_it_is_the_librarys() -> None:
    torch.manual_seed(0)
    layer = Depthwise(4, 3, 2).requires_grad_(False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x.bfloat16()).float().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
