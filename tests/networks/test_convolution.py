"""Convolutions with quick second derivatives."""

import threading
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from sparring.networks import convolution
from sparring.networks.convolution import (
    Convolution,
    Geometry,
    TransposedConvolution,
    convolve,
    fuses,
    has_fused_layers,
    product,
)
from sparring.networks.dcgan import LeakyReLU
from sparring.networks.layers import activate

KINDS: dict[str, tuple[type[nn.Module], type[nn.Module], dict[str, int]]] = {
    "3x3": (Convolution, nn.Conv2d, {"kernel_size": 3, "padding": 1}),
    "grouped": (Convolution, nn.Conv2d, {"kernel_size": 3, "padding": 1, "groups": 2}),
    "1x1": (Convolution, nn.Conv2d, {"kernel_size": 1}),
    "strided": (Convolution, nn.Conv2d, {"kernel_size": 4, "stride": 2, "padding": 1}),
    "1x1, strided": (Convolution, nn.Conv2d, {"kernel_size": 1, "stride": 2}),
    "whole": (Convolution, nn.Conv2d, {"kernel_size": 6}),
    "transposed": (TransposedConvolution, nn.ConvTranspose2d, {"kernel_size": 4, "stride": 2, "padding": 1}),
}


def pair(kind: str, *, bias: bool = True) -> tuple[nn.Module, nn.Module]:
    """Ours and the library's, with the same weights, in float64."""
    ours, theirs, how = KINDS[kind]
    torch.manual_seed(0)
    layers = ours(4, 6, bias=bias, **how).double(), theirs(4, 6, bias=bias, **how).double()
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


def slope_penalty(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """The gradients of a squared gradient, by the input and by the weights."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    return list(torch.autograd.grad(slope.square().sum(), [x, *layer.parameters()]))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_output_gradients_and_their_gradients_are_the_librarys(kind: str, channels_last: bool) -> None:
    ours, theirs = pair(kind)
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(x), theirs(x))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    for found, expected in zip(slope_penalty(ours, x), slope_penalty(theirs, x), strict=True):
        torch.testing.assert_close(found, expected)
    for layer in (ours, theirs):
        layer(x).pow(3).sum().backward()
    for mine, library in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, library.grad)


def test_layers_in_other_threads_keep_their_gradients() -> None:
    slopes, weights = Convolution(1, 1, 3, padding=1), Convolution(1, 1, 3, padding=1)
    x = torch.randn(1, 1, 4, 4, requires_grad=True)
    done = threading.Event()

    def slopes_by_pictures() -> None:
        while not done.is_set():
            torch.autograd.grad(slopes(x).square().sum(), x, create_graph=True)

    other = threading.Thread(target=slopes_by_pictures)
    other.start()
    try:
        for _ in range(200):
            weights.zero_grad()
            weights(torch.ones(1, 1, 4, 4)).sum().backward()
            assert weights.weight.grad is not None and weights.bias.grad is not None
    finally:
        done.set()
        other.join()


@pytest.mark.parametrize("transposed", [False, True])
def test_the_derivatives_of_the_derivatives_have_derivatives(transposed: bool) -> None:
    torch.manual_seed(0)
    x, weight = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((1, 2, 4, 4), (2, 1, 2, 2)))
    geometry = Geometry((2, 2), (1, 1), 2, transposed)

    def slopes(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(convolve(x, weight, None, geometry).pow(3).sum(), (x, weight), create_graph=True)

    assert torch.autograd.gradgradcheck(slopes, (x, weight))


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_computes_as_the_library_does(kind: str) -> None:
    ours, theirs = (layer.float() for layer in pair(kind))
    x = torch.randn(3, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = ours(x), theirs(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_a_weight_that_is_frozen_takes_no_gradient() -> None:
    layer, _ = pair("3x3")
    layer.requires_grad_(False)
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad is not None and all(parameter.grad is None for parameter in layer.parameters())


def test_the_activation_is_the_librarys_with_all_its_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(activate(x), nn.functional.leaky_relu(x, 0.2))
    assert torch.autograd.gradcheck(activate, x)
    assert torch.autograd.gradgradcheck(lambda x: activate(x.square() - 0.3), x)


ACTIVATED = {name: how for name, (layer, _, how) in KINDS.items() if layer is Convolution}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", ACTIVATED)
def test_a_layer_that_activates_is_the_layer_and_its_activation(kind: str, channels_last: bool) -> None:
    torch.manual_seed(0)
    one, two = (Convolution(4, 6, **ACTIVATED[kind], activates=on).double() for on in (True, False))
    two.load_state_dict(one.state_dict())
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    torch.testing.assert_close(one(x), activate(two(x)))
    with torch.no_grad():
        torch.testing.assert_close(one(x), activate(two(x)))
    apart = nn.Sequential(two, LeakyReLU())
    for found, expected in zip(slope_penalty(one, x), slope_penalty(apart, x), strict=True):
        torch.testing.assert_close(found, expected)
    for layer in (one, apart):
        layer(x).pow(3).sum().backward()
    for mine, plain in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad)


@pytest.mark.parametrize("kind", ACTIVATED)
@pytest.mark.parametrize("learns", [False, True])
def test_in_bf16_a_layer_that_activates_is_rounded_once(kind: str, learns: bool) -> None:
    """So it is as near to what float32 gives as bf16 can be; apart, a layer and its activation are rounded twice."""
    torch.manual_seed(0)
    layer = Convolution(4, 6, **ACTIVATED[kind], activates=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())  # so that only activations are rounded
    x = torch.randn(3, 4, 6, 6).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.set_grad_enabled(learns):
        expected = layer(x.float())
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(x)
    assert found.dtype == torch.bfloat16
    once = 2**-8 if has_fused_layers() else 2**-7
    torch.testing.assert_close(found.float(), expected, rtol=once, atol=1e-3)


def test_the_same_layer_without_the_librarys_pass_gives_the_same() -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(shape).bfloat16() for shape in ((5, 16), (8, 16), (8,)))
    one = product(x, weight, bias)
    with mock.patch.object(convolution, "has_fused_layers", return_value=False):
        torch.testing.assert_close(product(x, weight, bias), one, rtol=2**-6, atol=1e-2)


def test_a_bias_that_lies_apart_is_read_where_it_lies() -> None:
    x, weight = torch.zeros(2, 4, 5, 5).bfloat16(), torch.zeros(6, 4, 3, 3).bfloat16()
    bias = torch.full((6, 2), torch.nan).bfloat16()[:, 0].fill_(3)
    assert (product(x, torch.zeros(6, 5).bfloat16(), bias) == 3).all()
    assert (convolve(x, weight, bias, Geometry((1, 1), (1, 1), 1), activates=True) == 3).all()


def test_onednn_switched_off_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(2, 4).bfloat16()
    assert fuses(x) == has_fused_layers()
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not fuses(x)


@pytest.mark.parametrize("shape", [(0, 4, 6, 6), (1, 4, 1, 1)])
def test_layers_that_activate_take_few_and_no_samples(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert Convolution(4, 6, 3, padding=1, activates=True)(x).shape == (shape[0], 6, *shape[2:])
        assert Convolution(4, 6, 1, activates=True)(x).shape == (shape[0], 6, *shape[2:])


def test_a_product_that_activates_has_all_its_gradients() -> None:
    torch.manual_seed(0)
    inputs = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 4), (5, 4), (5,)))
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)


def test_a_shape_on_which_the_librarys_second_derivative_ends_the_process() -> None:
    """Where there is AMX, with PyTorch 2.13: 1x1, from 24 to 48 channels, of 64 pictures of 32x32, in bf16."""
    layer = Convolution(24, 48, 1, bias=False).bfloat16()
    x = torch.ones(64, 24, 32, 32, dtype=torch.bfloat16, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(x).float().square().sum(), x, create_graph=True)
    slope.float().square().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.isfinite().all()


def test_slopes_by_inputs_leave_the_weights_alone() -> None:
    layer, _ = pair("3x3")
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    calls: list[tuple[bool, bool]] = []

    def asked(*given: Any, **further: bool) -> tuple[Tensor, None, None]:
        calls.append(given[-1])
        return x, None, None

    with mock.patch.object(convolution, "library_gradients", side_effect=asked):
        torch.autograd.grad(layer(x).sum(), x, create_graph=True)
        layer(x).sum().backward()
    assert calls == [(True, False), (True, True)]


@pytest.mark.parametrize("learns", [(True, True), (True, False), (False, True)])
def test_a_bias_learns_the_same_in_the_pass_of_its_weight_and_without(learns: tuple[bool, bool]) -> None:
    torch.manual_seed(0)
    layer, x = Convolution(4, 6, 3, padding=1, groups=2).double(), torch.randn(2, 4, 6, 6, dtype=torch.float64)
    assert layer.bias is not None
    for parameter, learning in zip((layer.weight, layer.bias), learns, strict=True):
        parameter.requires_grad_(learning)
    wanted = [parameter for parameter in (layer.weight, layer.bias) if parameter.requires_grad]
    at_once = torch.autograd.grad(layer(x).square().sum(), wanted)
    apart = torch.autograd.grad(layer(x).square().sum(), wanted, create_graph=True)
    for one, other in zip(at_once, apart, strict=True):
        torch.testing.assert_close(one, other.detach())


def test_a_library_whose_single_passes_have_changed_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_arguments(*given: object) -> Tensor:
        raise TypeError("takes 7 arguments")

    has_fused_layers.cache_clear()
    monkeypatch.setattr(convolution, "fused_convolution", other_arguments)
    try:
        assert not has_fused_layers()
        layer = Convolution(4, 6, 3, padding=1, activates=True)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(torch.randn(2, 4, 6, 6)).dtype == torch.bfloat16
    finally:
        has_fused_layers.cache_clear()
