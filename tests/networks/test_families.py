"""What holds for the players of every family."""

import copy

import pytest
import torch
from torch import Tensor, nn

from sparring.errors import SettingError
from sparring.networks import FAMILIES, parameters

SHAPES = [(1, 8, 8), (3, 16, 16), (2, 21, 13), (4, 64, 96), (1, 4, 4), (3, 5, 24)]
Z = 6


@pytest.fixture(params=FAMILIES)
def family(request):
    torch.manual_seed(0)
    return FAMILIES[request.param]


def awake(module: nn.Module) -> nn.Module:
    """Moves all weights a little, so that the layers that start at zero take part."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return module


def labels(count: int, classes: int) -> Tensor | None:
    return torch.eye(classes)[torch.arange(count) % classes] if classes else None


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_and_types(family, shape, classes):
    generator = family.generator(shape, z_dim=Z, classes=classes, width=8, depth=1)
    discriminator = family.discriminator(shape, classes=classes, width=8, depth=1)
    y = labels(2, classes)
    with torch.autocast("cpu", torch.bfloat16):
        pictures = generator(torch.randn(2, Z), y)
        logits = discriminator(pictures, y)
    assert pictures.shape == (2, *shape) and logits.shape == (2,)
    assert pictures.dtype == logits.dtype == torch.float32
    assert pictures.isfinite().all() and logits.isfinite().all()


def test_the_players_start_at_a_sane_scale(family):
    generator = family.generator((3, 16, 16), z_dim=64, width=16, depth=2)
    discriminator = family.discriminator((3, 16, 16), width=16, depth=2)
    pictures = generator(torch.randn(64, 64))
    assert 0.05 < pictures.std() < 1.5
    assert pictures.mean().abs() < 0.2
    # Constant pictures lose nothing to averaging, noise does: the two bracket real ones.
    assert discriminator(torch.rand(64, 3, 16, 16) * 2 - 1).std() > 0.02
    assert discriminator(torch.rand(64, 3, 1, 1).expand(64, 3, 16, 16) * 2 - 1).std() < 3


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_samples_do_not_mix(family, spectral_norm):
    generator = awake(family.generator((3, 9, 8), z_dim=Z, width=8, depth=1))
    discriminator = awake(family.discriminator((3, 9, 8), width=8, depth=1, spectral_norm=spectral_norm))
    z, x = torch.randn(4, Z), torch.rand(4, 3, 9, 8) * 2 - 1
    for player, whole in ((generator, z), (discriminator, x)):
        alone = torch.cat([player(part) for part in whole.split(1)])
        torch.testing.assert_close(player(whole), alone, atol=1e-5, rtol=1e-5)
        changed = whole.clone()
        changed[3] = -5 * changed[3]
        assert torch.equal(player(whole)[:3], player(changed)[:3])


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_r1_is_differentiated_exactly(family, spectral_norm):
    """The derivative of |grad_x D|^2 along a direction in weight space equals its finite difference."""
    discriminator = family.discriminator((3, 9, 8), classes=2, width=8, depth=1, spectral_norm=spectral_norm).double()
    awake(discriminator)
    x = (torch.rand(3, 3, 9, 8, dtype=torch.float64) * 2 - 1).requires_grad_()
    y = torch.tensor([[1, 0], [0, 1], [0.5, 0.5]], dtype=torch.float64)

    def r1(player: nn.Module) -> Tensor:
        (slope,) = torch.autograd.grad(player(x, y).sum(), x, create_graph=True)
        return slope.square().sum()

    weights = list(discriminator.parameters())
    gradients = torch.autograd.grad(r1(discriminator), weights, allow_unused=True)
    direction = [torch.randn_like(weight) for weight in weights]
    exact = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)

    # Small, for |grad_x D|^2 jumps where an activation changes sign.
    step, values = 1e-9, []
    for sign in (1, -1):
        moved = copy.deepcopy(discriminator)
        with torch.no_grad():
            for weight, d in zip(moved.parameters(), direction, strict=True):
                weight += sign * step * d
        values.append(r1(moved).detach())
    torch.testing.assert_close(exact, (values[0] - values[1]) / (2 * step), rtol=1e-4, atol=1e-8)


def test_the_label_enters_by_an_inner_product(family):
    discriminator = family.discriminator((1, 8, 8), classes=3, width=8, depth=1)
    features = []
    discriminator.judge.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    x = torch.randn(5, 1, 8, 8)
    y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.75, 0], [0, 0, 0]])
    difference = discriminator(x, y) - discriminator(x, torch.zeros(5, 3))
    expected = torch.einsum("nc,fc,nf->n", y, discriminator.judge.embedding.weight, features[0])
    torch.testing.assert_close(difference, expected, atol=1e-5, rtol=1e-5)


def test_mixtures_of_classes_mix_embeddings(family):
    generator = family.generator((1, 8, 8), z_dim=Z, classes=2, width=8, depth=1)
    z = torch.randn(1, Z)
    one, two, half = (generator.latent(z, torch.tensor([y])) for y in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]))
    torch.testing.assert_close(half, (one + two) / 2)
    assert torch.equal(half[:, :Z], z)


def test_labels_and_classes_go_together(family):
    x, z, y = torch.zeros(1, 1, 8, 8), torch.zeros(1, Z), torch.eye(2)[:1]
    for classes, given in ((0, y), (2, None)):
        with pytest.raises(ValueError, match="classes"):
            family.generator((1, 8, 8), z_dim=Z, classes=classes, width=8, depth=1)(z, given)
        with pytest.raises(ValueError, match="classes"):
            family.discriminator((1, 8, 8), classes=classes, width=8, depth=1)(x, given)


@pytest.mark.parametrize("shape", [(0, 8, 8), (3, 3, 8)])
def test_impossible_shapes_are_refused(family, shape):
    with pytest.raises(SettingError):
        family.discriminator(shape, width=8, depth=1)


@pytest.mark.parametrize("sizes", [{"width": 0, "depth": 1}, {"width": 8, "depth": 0}])
def test_impossible_sizes_are_refused(family, sizes):
    with pytest.raises(SettingError, match="at least 1"):
        family.generator((1, 8, 8), z_dim=Z, **sizes)


def test_parameters_are_counted():
    assert parameters(nn.Linear(3, 5)) == 3 * 5 + 5
