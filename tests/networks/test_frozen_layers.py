"""Convolutions of frozen networks whose gradient is quick in bf16."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.networks import frozen_layers
from sparring.networks.convolution import geometry_of
from sparring.networks.folding import Unit
from sparring.networks.frozen_layers import SIX, FrozenUnit, Through, apart

KINDS = {
    "depthwise 3x3": (4, 4, 3, 1, 4),
    "depthwise 5x5, every 2nd": (4, 4, 5, 2, 4),
    "depthwise 3x3, every 3rd": (4, 4, 3, 3, 4),
    "1x1": (4, 6, 1, 1, 1),
    "1x1, every 2nd": (4, 6, 1, 2, 1),
    "3x3, every 2nd": (4, 6, 3, 2, 1),
}
"""Channels before and after, kernel, stride, groups."""


def conv(kind: str) -> nn.Conv2d:
    before, after, kernel, stride, groups = KINDS[kind]
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups).requires_grad_(False)


@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (5, 12)], ids=str)
def test_the_gradient_is_that_of_the_library(size: tuple[int, int], kind: str, clips: bool) -> None:
    torch.manual_seed(0)
    layer = conv(kind).double()
    x = 9 * torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    expected = F.hardtanh(layer(x), *SIX) if clips else layer(x)
    found = Through.apply(x, layer.weight, layer.bias, geometry_of(layer), clips)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("kind", ["depthwise 5x5, every 2nd", "1x1", "3x3, every 2nd"])
def test_the_gradient_has_a_gradient(kind: str) -> None:
    torch.manual_seed(0)
    layer = conv(kind).double()
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    through = (layer.weight, layer.bias, geometry_of(layer), True)
    assert torch.autograd.gradgradcheck(lambda x: Through.apply(x, *through).square(), x)


def test_zeros_come_between_places() -> None:
    assert apart(torch.ones(1, 1, 2, 2), 2).tolist() == [[[[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4]]]
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(apart(x, 1), x)


def folded(kind: str, *, clips: bool = True) -> FrozenUnit:
    layer = conv(kind)
    layer.bias = None
    unit = FrozenUnit(layer, 1e-3, clips=clips).eval().requires_grad_(False)
    unit.bn.bias.normal_()
    unit.fold()
    return unit


@pytest.mark.parametrize("kind", KINDS)
def test_in_bf16_a_frozen_unit_agrees_with_float32(kind: str) -> None:
    torch.manual_seed(0)
    unit = folded(kind).requires_grad_(False)
    x = (3 * torch.randn(2, 4, 16, 16)).bfloat16()

    def gradient(unit: nn.Module, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        unit(x).float().square().sum().backward()
        assert x.grad is not None
        return x.grad.float()

    expected = gradient(unit, x.float())
    found = gradient(unit.bfloat16(), x)
    assert type(unit(x.requires_grad_()).grad_fn).__name__ == "ThroughBackward"
    assert (found - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_gives_the_numbers_of_two(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    unit = folded(kind).requires_grad_(False).bfloat16()
    x = (12 * torch.randn(2, 4, 16, 16)).bfloat16().contiguous(memory_format=torch.channels_last)
    two = Unit.forward(unit, x)
    assert 0 < (two == 6).float().mean() < 1
    assert torch.equal(unit(x), two)
    monkeypatch.setattr(frozen_layers, "fuses", lambda x: False)
    assert torch.equal(unit(x), two)


def test_what_learns_or_is_not_folded_is_the_librarys() -> None:
    torch.manual_seed(0)
    unit = folded("1x1").requires_grad_(False).bfloat16()
    x = torch.randn(1, 4, 8, 8).bfloat16().requires_grad_()
    unit.conv.weight.requires_grad_(True)
    unit(x).float().sum().backward()
    assert unit.conv.weight.grad is not None
    fresh = FrozenUnit(conv("1x1"), 1e-3, clips=True).requires_grad_(False).bfloat16()
    assert type(fresh(x).grad_fn).__name__ != "ThroughBackward"


def test_in_float32_under_autocast_it_is_the_librarys() -> None:
    torch.manual_seed(0)
    unit = folded("depthwise 3x3").requires_grad_(False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        unit(x.bfloat16()).float().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
