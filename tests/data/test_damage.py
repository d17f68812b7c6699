from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparring.config import Settings
from sparring.data.damage import (
    Damage,
    Degraded,
    GaussianNoise,
    Holes,
    Jpeg,
    Mixed,
    OneOf,
    PoissonNoise,
    Reduced,
    SaltAndPepper,
    damage_of,
)
from sparring.errors import SettingError
from sparring.randomness import Random


def scenes(count: int, height: int = 48, width: int = 64, channels: int = 3) -> Tensor:
    """Pictures (count, channels, height, width) of smooth waves in [-0.7, 0.7], all different."""
    rows, columns = torch.meshgrid(torch.arange(height) / 10, torch.arange(width) / 10, indexing="ij")
    waves = [
        torch.sin((1 + channel) * rows + number) * torch.cos(columns - channel)
        for number in range(count)
        for channel in range(channels)
    ]
    return 0.7 * torch.stack(waves).view(count, channels, height, width)


NOISES = GaussianNoise(), PoissonNoise(), Jpeg(), SaltAndPepper()

DAMAGES: dict[str, Damage] = {
    "holes": Holes(),
    "Gaussian": GaussianNoise(),
    "Poisson": PoissonNoise(rounded=True),
    "JPEG": Jpeg(),
    "salt and pepper": SaltAndPepper(),
    "any noise": OneOf(NOISES),
    "reduced": Reduced(4),
    "degraded": Degraded(4),
    "degraded, mildly": Degraded(2, strength=0.3),
    "mixed": Mixed(),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_damage_belongs_to_its_sample(name: str, channels: int) -> None:
    damage, clean, random = DAMAGES[name], scenes(20, channels=channels), Random(5, 2, 20)
    whole = damage(clean, random)
    part = damage(clean[11:18], random.part(11, 7))
    assert torch.equal(part.pictures, whole.pictures[11:18])
    if whole.mask is not None:
        assert part.mask is not None
        assert torch.equal(part.mask, whole.mask[11:18])


@pytest.mark.parametrize("name", [name for name in DAMAGES if name != "reduced"])
def test_damage_is_drawn_anew_and_low_precision_around_it_is_not_for_it(name: str) -> None:
    damage, clean, random = DAMAGES[name], scenes(20), Random(5, 2, 20)
    found = damage(clean, random).pictures
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(damage(clean, random).pictures, found)
    other = damage(clean, random.at("another")).pictures
    assert (found != other).flatten(1).any(1).all()
    of_one = damage(clean[:1].expand_as(clean), random).pictures
    assert len({tuple(picture.flatten().tolist()) for picture in of_one}) > 14  # two may get the same quality of JPEG


@pytest.mark.parametrize("name", DAMAGES)
def test_type_and_range_stay(name: str) -> None:
    damage, clean = DAMAGES[name], scenes(4)
    found = damage(clean, Random(1, 0, 4)).pictures
    in_doubles = damage(clean.double(), Random(1, 0, 4)).pictures
    assert (found.dtype, in_doubles.dtype) == (torch.float32, torch.float64)
    assert (in_doubles - found).abs().mean() < 0.02  # a sum may be rounded to the next level, and JPEG spreads it
    if name not in ("Gaussian", "any noise"):
        assert found.abs().max() <= 1


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
    assert torch.corrcoef(torch.stack([noise[..., 1:], noise[..., :-1]]).flatten(1))[0, 1].abs() < 0.03


def test_the_strength_of_gaussian_noise_is_uniform_between_its_ends() -> None:
    clean = scenes(500, 24, 24)
    deviations = 127.5 * (GaussianNoise(5, 45)(clean, Random(0, 0, 500)).pictures - clean).std((1, 2, 3))
    assert 4.5 < deviations.min() < 6
    assert 44 < deviations.max() < 48
    assert deviations.mean().item() == pytest.approx(25, abs=1.5)
    assert deviations.std().item() == pytest.approx(40 / 12**0.5, abs=0.8)


def test_noise_in_a_file_is_clamped_and_on_its_levels() -> None:
    free, held = (GaussianNoise(50, 50, rounded)(scenes(2), Random(0, 0, 2)).pictures for rounded in (False, True))
    assert free.max() > 1.1
    levels = (held + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert (free.clamp(-1, 1) - held).abs().max() <= 0.5 / 127.5 + 1e-6


def test_poisson_noise_is_of_the_photons_that_are_asked_for() -> None:
    """Of counts with the mean x n, divided by n, the variance is x / n."""
    clean = scenes(8, 96, 96)
    light = (clean + 1) / 2
    added = (PoissonNoise(100, 100)(clean, Random(0, 0, 8)).pictures - clean) / 2
    assert (added / light.sqrt()).var().item() == pytest.approx(1 / 100, rel=0.02)


def test_salt_and_pepper_come_in_the_share_that_is_asked_for() -> None:
    found = SaltAndPepper(0.1, 0.1)(scenes(20), Random(0, 0, 20)).pictures
    assert (found == 1).float().mean().item() == pytest.approx(0.05, abs=0.004)
    assert (found == -1).float().mean().item() == pytest.approx(0.05, abs=0.004)


def test_the_worse_the_quality_of_jpeg_the_larger_the_error() -> None:
    clean = scenes(4)
    errors = [
        (Jpeg(quality, quality)(clean, Random(0, 0, 4)).pictures - clean).abs().mean() for quality in (95, 50, 10)
    ]
    assert all(better < worse for better, worse in pairwise(errors))
    assert errors[0] < 0.02


def test_one_of_several_noises_is_each_of_them_as_often() -> None:
    clean = scenes(400, 16, 16)
    found = OneOf((SaltAndPepper(1, 1), GaussianNoise(0, 0)))(clean, Random(0, 0, 400)).pictures
    salted = (found.abs() == 1).flatten(1).all(1)
    same = (found == clean).flatten(1).all(1)
    assert torch.equal(salted, ~same)
    assert salted.float().mean().item() == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("scale", [2, 4])
def test_reduction_is_pillows_bicubic(scale: int) -> None:
    pixels = ((scenes(1) + 1) * 127.5).round().to(torch.uint8)
    pixels[0, :, 10:20, 10:20] = 255  # edges, where it overshoots
    found = Reduced(scale)(pixels.float() / 127.5 - 1, Random(0, 0, 1)).pictures
    image = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    wanted = np.asarray(image.resize((64 // scale, 48 // scale), Image.Resampling.BICUBIC)).astype(np.float32)
    apart = (((found[0] + 1) * 127.5).round().permute(1, 2, 0) - torch.from_numpy(wanted)).abs()
    assert apart.max() <= 1  # halves are rounded up there, and to even numbers here
    assert apart.mean() < 0.03


def test_what_is_even_stays_so_when_reduced() -> None:
    found = Reduced(4)(torch.full((1, 3, 24, 32), 0.2), Random(0, 0, 1)).pictures  # 153 of 255
    assert found.shape == (1, 3, 6, 8)
    assert torch.allclose(found, torch.tensor(0.2), atol=1e-6)


@pytest.mark.parametrize("damage", [Degraded(4), Degraded(2), Mixed()])
def test_chains_keep_the_colour_of_a_picture(damage: Damage) -> None:
    clean = scenes(64)
    drift = damage(clean, Random(3, 0, 64)).pictures.mean((2, 3)) - clean.mean((2, 3))
    assert drift.mean(0).abs().max() < 0.01
    assert drift.abs().max() < 0.15


def test_chains_damage_more_the_stronger_they_are() -> None:
    clean, random = scenes(48, channels=1), Random(3, 0, 48)  # the colours of JPEG are coarse at any quality
    small = Reduced(2)(clean, random).pictures
    degraded = [(Degraded(2, s)(clean, random).pictures - small).abs().mean().item() for s in (0.01, 0.3, 1)]
    mixed = [(Mixed(s)(clean, random).pictures - clean).abs().mean().item() for s in (0.01, 0.3, 1)]
    for errors in (degraded, mixed):
        assert errors[0] < 0.02
        assert errors[0] < 0.7 * errors[1] < 0.5 * errors[2]


def test_every_picture_of_a_mix_is_damaged() -> None:
    clean = scenes(200, 24, 24)
    assert ((Mixed()(clean, Random(0, 0, 200)).pictures - clean).abs().flatten(1).mean(1) > 0.002).all()


@pytest.mark.parametrize("damage", [Degraded(4), Degraded(2), Mixed(), Reduced(4), Holes(), OneOf(NOISES)])
def test_the_smallest_patches_are_damaged_too(damage: Damage) -> None:
    found = damage(scenes(300, 8, 8), Random(0, 0, 300)).pictures
    assert found.isfinite().all()


ROUNDED = (GaussianNoise(rounded=True), PoissonNoise(rounded=True), Jpeg(), SaltAndPepper())
"""As files hold them."""


def test_settings_name_the_damage() -> None:
    def made(**values: object) -> Damage:
        return damage_of(Settings.model_construct(**values))  # type: ignore[arg-type]

    assert made(damage="inpaint", holes="all") == Holes()
    assert made(damage="inpaint", holes="boxes") == Holes({"boxes": 1.0})
    assert made(damage="denoise", noise="gaussian", noise_low=5.0, noise_high=15.0) == GaussianNoise(
        5, 15, rounded=True
    )
    assert made(damage="denoise", noise="poisson") == PoissonNoise(rounded=True)
    assert made(damage="denoise", noise="jpeg") == Jpeg()
    assert made(damage="denoise", noise="salt-and-pepper") == SaltAndPepper()
    assert made(damage="denoise", noise="all", noise_low=0.0, noise_high=55.0) == OneOf(ROUNDED)
    assert made(damage="super", scale=2, degradation="bicubic") == Reduced(2)
    assert made(damage="super", scale=4, degradation="realistic", severity=0.5) == Degraded(4, 0.5)
    assert made(damage="mixed", severity=1.0) == Mixed()
    with pytest.raises(SettingError, match="one of inpaint, denoise, super, mixed"):
        made()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianNoise(30, 20), "noise from 30 to 20: the first should not be above the second"),
        (lambda: GaussianNoise(-1, 20), "both between 0 and 255"),
        (lambda: GaussianNoise(0, float("nan")), "both between 0 and 255"),
        (lambda: PoissonNoise(0, 20), "both between 1 and"),
        (lambda: Jpeg(0, 50), "both between 1 and 95"),
        (lambda: SaltAndPepper(0.5, 1.5), "both between 0 and 1"),
        (lambda: Holes({"ovals": 1.0}), "the kinds are thick"),
        (lambda: OneOf(()), "at least one"),
        (lambda: Reduced(1), "at least 2"),
        (lambda: Degraded(4, 0), "above 0, and 1 at most"),
        (lambda: Mixed(2), "above 0, and 1 at most"),
        (
            lambda: Reduced(4)(scenes(1, 24, 26), Random(0, 0, 1)),
            "24x26 pixels: scale=4 needs sides that are multiples",
        ),
    ],
)
def test_what_cannot_be_is_told(make: object, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        make()  # type: ignore[operator]
