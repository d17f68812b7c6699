from pathlib import Path

import numpy as np
import pytest
import torch
from tests.latents.conftest import untrained
from torch import Tensor, nn

from sparring import Model, RunError, SettingError
from sparring.latents.directions import activations, edited, entry, first_layer, principal, read, sefa, write
from sparring.latents.points import samples
from sparring.networks import fast


def planted() -> tuple[Model, Tensor]:
    """A generator whose first layer stretches known directions, the rows of a rotation, by 8, 7, ... 1."""
    model = untrained()
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(5))).Q
    generator = model.generator
    assert isinstance(generator, fast.Generator)
    outside = torch.linalg.qr(torch.randn(generator.start.out_features, 8)).Q
    generator.start.weight.copy_(outside @ torch.diag(torch.arange(8.0, 0, -1)) @ rotation)
    return model, rotation


def test_factorisation_finds_the_eigenvectors_of_the_first_layer() -> None:
    model, rotation = planted()
    found = sefa(model)
    assert torch.allclose((found.vectors * rotation).sum(1).abs(), torch.ones(8), atol=1e-5)
    assert found.scores == pytest.approx(range(8, 0, -1), rel=1e-5)


def test_components_of_a_layer_that_is_nearly_linear_are_the_same() -> None:
    model, rotation = planted()
    found = principal(model, 3)
    assert torch.allclose((found.vectors * rotation[:3]).sum(1).abs(), torch.ones(3), atol=0.02)
    assert found.scores == pytest.approx([part**2 / 204 for part in (8, 7, 6)], rel=0.1)


def test_z_enters_each_family_by_the_matrix_that_is_taken(family: Model) -> None:
    matrix = entry(family.generator, 8)
    z = family.latents(2, seed=1)
    layer = getattr(family.generator, "modulation", None) or getattr(family.generator, "start", None)
    assert isinstance(layer, nn.Linear)
    (before,) = (layer(z[:1]) - layer(z[1:])) if hasattr(family.generator, "start") else [None]
    if before is None:
        basis = family.generator.basis
        before = (layer(z[:1]) - layer(z[1:]))[0, :, None, None] * basis
    assert (matrix @ (z[0] - z[1])).norm() == pytest.approx(before.norm().item(), rel=1e-4)
    assert len(sefa(family)) == 8
    assert activations(family, family.latents(40), family.labels(40)).shape[0] == 40
    assert not first_layer(family.generator)[0]._forward_hooks


def test_columns_of_classes_are_left_out(conditional: Model) -> None:
    assert entry(conditional.generator, 8).shape[1] == 8
    assert principal(conditional, 2).vectors.shape == (2, 8)


def test_moving_along_a_direction_and_back(model: Model) -> None:
    points = samples(model, 2, 0)
    vector = sefa(model).vectors[0]
    moved = edited(points, vector, 3)
    assert torch.allclose((moved.z - points.z).norm(dim=1), torch.full((2,), 3.0))
    assert torch.allclose(edited(moved, vector, -3).z, points.z, atol=1e-6)
    with pytest.raises(SettingError, match="strength"):
        edited(points, vector, float("nan"))


def test_directions_are_kept_in_a_file(model: Model, tmp_path: Path) -> None:
    found = sefa(model)
    write(found, tmp_path / "d.npz")
    again = read(model.from_noise.z_dim, tmp_path / "d.npz")
    assert torch.allclose(again.vectors, found.vectors, atol=1e-6)
    assert (again.names, again.method, again.measure) == (found.names, found.method, found.measure)
    assert again.number("7") == 7
    with pytest.raises(SettingError, match="0 to 7"):
        again.number("8")
    np.savez(tmp_path / "other.npz", z=np.zeros(3))
    with pytest.raises(RunError, match="no directions"):
        read(model.from_noise.z_dim, tmp_path / "other.npz")
    with pytest.raises(RunError, match="cannot be read"):
        read(model.from_noise.z_dim, tmp_path / "gone.npz")


def test_networks_that_are_not_known_are_refused(model: Model) -> None:
    other = Model(nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8))), model.from_noise)
    with pytest.raises(RunError, match="fast, skip, r3 and dcgan"):
        sefa(other)
