import pytest
import torch
from torch import Tensor

from sparring.data.damage import Damage, GaussianNoise, Holes
from sparring.errors import SettingError
from sparring.randomness import Random


def scenes(count: int, height: int = 48, width: int = 64, channels: int = 3) -> Tensor:
    """Pictures (count, channels, height, width) of smooth waves in [-0.9, 0.9], all different."""
    rows, columns = torch.meshgrid(torch.arange(height) / 10, torch.arange(width) / 10, indexing="ij")
    waves = [
        torch.sin((1 + channel) * rows + number) * torch.cos(columns - channel)
        for number in range(count)
        for channel in range(channels)
    ]
    return 0.9 * torch.stack(waves).view(count, channels, height, width)


DAMAGES: dict[str, Damage] = {"holes": Holes(), "Gaussian": GaussianNoise(0, 55)}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_belongs_to_its_sample(name: str) -> None:
    damage, clean, random = DAMAGES[name], scenes(20), Random(5, 2, 20)
    whole = damage(clean, random)
    part = damage(clean[11:18], random.part(11, 7))
    assert torch.equal(part.pictures, whole.pictures[11:18])
    if whole.mask is not None:
        assert part.mask is not None
        assert torch.equal(part.mask, whole.mask[11:18])
    assert not torch.equal(damage(clean, random.at("another")).pictures, whole.pictures)


def test_holes_are_grey_and_the_rest_is_as_it_was() -> None:
    clean = scenes(8)
    found = Holes()(clean, Random(0, 0, 8))
    assert found.mask is not None
    missing = found.mask.bool().expand_as(clean)
    assert (found.pictures[missing] == 0).all()
    assert torch.equal(found.pictures[~missing], clean[~missing])


def test_gaussian_noise_has_the_strength_that_is_asked_for() -> None:
    clean = scenes(4)
    noise = 127.5 * (GaussianNoise(25, 25)(clean, Random(0, 0, 4)).pictures - clean)
    assert noise.std().item() == pytest.approx(25, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.5)
    assert torch.corrcoef(noise.transpose(0, 1).flatten(1)).fill_diagonal_(0).abs().max() < 0.03


def test_the_strength_of_gaussian_noise_is_uniform_between_its_ends() -> None:
    clean = scenes(500, 24, 24)
    deviations = 127.5 * (GaussianNoise(5, 45)(clean, Random(0, 0, 500)).pictures - clean).std((1, 2, 3))
    assert 4.5 < deviations.min() < 6
    assert 44 < deviations.max() < 48
    assert deviations.mean().item() == pytest.approx(25, abs=1.5)
    assert deviations.std().item() == pytest.approx(40 / 12**0.5, abs=0.8)


@pytest.mark.parametrize(("low", "high"), [(30, 20), (-1, 20), (0, 300)])
def test_wrong_strengths_are_told(low: float, high: float) -> None:
    with pytest.raises(SettingError, match="the first should not be above the second"):
        GaussianNoise(low, high)
