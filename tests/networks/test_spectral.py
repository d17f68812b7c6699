import pytest
import torch
from torch import nn

from sparring.networks import FAMILIES
from sparring.networks.spectral import normalise, spectral_norm


@pytest.mark.parametrize("shape", [(5, 5), (40, 7), (16, 8, 3, 3), (1, 9), (9, 1)], ids=str)
def test_the_norm_is_the_largest_singular_value(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64)
    expected = torch.linalg.matrix_norm(weight.flatten(1), 2)
    torch.testing.assert_close(spectral_norm(weight), expected, rtol=1e-2, atol=0)
    assert spectral_norm(weight) <= expected * (1 + 1e-12)


def test_the_worst_spectrum_costs_less_than_a_hundredth():
    values = torch.linspace(0.9, 1, 512)
    basis, _ = torch.linalg.qr(torch.randn(512, 512, generator=torch.Generator().manual_seed(0)))
    assert spectral_norm(basis * values @ basis.T).item() == pytest.approx(1, abs=1e-2)


def test_its_gradient_is_the_outer_product_of_the_singular_vectors():
    weight = torch.diag(torch.tensor([1.0, 3.0, 2.0])).requires_grad_()
    (gradient,) = torch.autograd.grad(spectral_norm(weight), weight)
    torch.testing.assert_close(gradient, torch.diag(torch.tensor([0.0, 1.0, 0.0])), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_all_weights_of_a_discriminator_are_bounded(name):
    torch.manual_seed(0)
    discriminator = FAMILIES[name].discriminator((3, 16, 16), classes=2, width=8, depth=1, spectral_norm=True)
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]

    def norms() -> list[float]:
        return [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]

    assert all(norm == pytest.approx(1, abs=0.01) or norm == 0 for norm in norms())
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.normal_()  # far above one
    assert norms() == pytest.approx([1] * len(layers), abs=0.01)


def test_forward_passes_change_nothing():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 6))
    normalise(layer)
    x = torch.randn(3, 4)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    first = layer(x)
    assert torch.equal(first, layer(x))
    assert before.keys() == layer.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
