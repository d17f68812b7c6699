import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.adversarial.augment import (
    AUGMENTATIONS,
    RELATIVISTIC_TARGET,
    AdaController,
    AdaptiveAugment,
    Colour,
    DiffAugment,
    NoAugmentation,
    mirror,
    resample,
    rotation,
    sampling_grid,
    scaling,
    translation,
    turned,
)
from sparring.errors import SettingError
from sparring.randomness import Random

NONE = dict.fromkeys(AdaptiveAugment.__dataclass_fields__, 0.0)
COUNT = 64
RANDOM = Random(seed=1, step=2, count=COUNT)


def only(*names: str) -> AdaptiveAugment:
    return AdaptiveAugment(**NONE | dict.fromkeys(names, 1.0))


def pictures(channels: int, height: int, width: int, count: int = COUNT) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def is_one_of(outcome: Tensor, *candidates: Tensor) -> list[Tensor]:
    """For each candidate which samples equal it; every sample must equal one."""
    matches = [((outcome - candidate).abs().amax((1, 2, 3)) < 1e-5) for candidate in candidates]
    assert torch.stack(matches).any(0).all()
    return matches


# What all have in common


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_with_p_zero_nothing_happens(augmentation):
    images = pictures(3, 8, 8)
    assert augmentation.draw(RANDOM, (3, 8, 8), 0.0)(images) is images


def test_no_augmentation_is_the_identity():
    images = pictures(3, 8, 8)
    assert NoAugmentation().draw(RANDOM, (3, 8, 8), 1.0)(images) is images


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 12), (3, 16, 8), (4, 7, 7)], ids=str)
@pytest.mark.parametrize("augmentation", [DiffAugment(), AdaptiveAugment()], ids=["diffaugment", "ada"])
def test_draws_depend_on_the_key_alone(augmentation, shape):
    images = pictures(*shape)
    transform = augmentation.draw(RANDOM, shape, 0.7)
    outcome = transform(images)
    assert outcome.shape == images.shape and outcome.isfinite().all()
    assert torch.equal(outcome, transform(images))  # the same for the second of a pair
    assert torch.equal(outcome, augmentation.draw(RANDOM, shape, 0.7)(images))
    assert not torch.equal(outcome, augmentation.draw(Random(1, 3, COUNT), shape, 0.7)(images))
    part = augmentation.draw(RANDOM.part(20, 8), shape, 0.7)(images[20:28])
    torch.testing.assert_close(part, outcome[20:28])


@pytest.mark.parametrize("augmentation", [DiffAugment(), AdaptiveAugment()], ids=["diffaugment", "ada"])
def test_derivatives_are_exact_twice(augmentation):
    images = pictures(4, 5, 6, count=3).double().requires_grad_()
    transform = augmentation.draw(Random(0, 0, 3), (4, 5, 6), 1.0)
    assert torch.autograd.gradcheck(transform, images)
    assert torch.autograd.gradgradcheck(lambda x: transform(x).square(), images)


@pytest.mark.parametrize("augmentation", [DiffAugment(), AdaptiveAugment()], ids=["diffaugment", "ada"])
def test_autocast_does_not_lower_the_precision(augmentation):
    images = pictures(3, 8, 8)
    transform = augmentation.draw(RANDOM, (3, 8, 8), 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        low = transform(images)
    assert torch.equal(low, transform(images))
    assert transform(images.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("settings", [{"flip": 1.5}, {"hue": -0.1}])
def test_shares_are_checked(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        AdaptiveAugment(**settings)


# DiffAugment


def test_diffaugment_moves_by_whole_pixels_and_fills_with_zeros():
    images = pictures(2, 16, 24)
    images[:, :1] = 0.5  # a constant picture: colours do nothing to it that a number a sample does not tell
    outcome = DiffAugment(cutout=0).draw(RANDOM, (2, 16, 24), 1.0)(images)
    padded = F.pad(images[:, 1:], (3, 3, 2, 2))
    found = []
    for sample in range(COUNT):
        shifts = [
            (2 - top, 3 - left)
            for top in range(5)
            for left in range(7)
            if torch.equal(padded[sample, :, top : top + 16, left : left + 24], outcome[sample, 1:])
        ]
        assert len(shifts) == 1
        found += shifts
    assert {down for down, _ in found} == {-2, -1, 0, 1, 2}
    assert {right for _, right in found} == {-3, -2, -1, 0, 1, 2, 3}


def test_diffaugment_cuts_a_rectangle_of_half_the_sides():
    outcome = DiffAugment(translation=0).draw(RANDOM, (1, 8, 12), 1.0)(torch.full((COUNT, 1, 8, 12), 3.0))
    holes = outcome[:, 0] == 0
    assert holes.flatten(1).sum(1).max() == 4 * 6
    for hole in holes:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns[None])
        assert 2 <= rows.sum() <= 4 and 3 <= columns.sum() <= 6


def test_diffaugment_colours_follow_the_paper():
    images = pictures(3, 8, 8)
    outcome = DiffAugment(translation=0, cutout=0).draw(RANDOM, (3, 8, 8), 1.0)(images)
    amounts = RANDOM.uniform("colour", 3)[:, :, None, None, None]
    x = images + (amounts[:, 0] - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (amounts[:, 1] * 2) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(outcome, (x - mean) * (amounts[:, 2] + 0.5) + mean)


# Movements of AdaptiveAugment


@pytest.mark.parametrize("shape", [(3, 64, 96), (1, 8, 8), (3, 7, 5)], ids=str)
def test_the_identity_grid_gives_the_picture_back(shape):
    images = pictures(*shape, count=2)
    grid = sampling_grid(torch.eye(3).expand(2, 3, 3), *shape[1:])
    torch.testing.assert_close(resample(images, grid), images, atol=1e-5, rtol=0)


def test_flips_alone():
    images = pictures(3, 9, 6)
    same, flipped = is_one_of(only("flip").draw(RANDOM, (3, 9, 6), 1.0)(images), images, images.flip(3))
    assert 16 < flipped.sum() < 48 and 16 < same.sum() < 48


def test_quarter_turns_alone():
    images = pictures(3, 8, 8)
    turned = is_one_of(
        only("quarter_turns").draw(RANDOM, (3, 8, 8), 1.0)(images), *(images.rot90(k, (2, 3)) for k in range(4))
    )
    assert all(some.any() for some in turned)


def test_pictures_that_are_not_square_turn_by_half():
    images = pictures(3, 8, 6)
    turned = is_one_of(only("quarter_turns").draw(RANDOM, (3, 8, 6), 1.0)(images), images, images.rot90(2, (2, 3)))
    assert all(some.any() for some in turned)


def test_whole_translations_alone():
    images = pictures(1, 16, 24)
    reflected = torch.cat([images.flip(3), images, images.flip(3)], dim=3)
    reflected = torch.cat([reflected.flip(2), reflected, reflected.flip(2)], dim=2)
    moved = [reflected[:, :, 16 - d : 32 - d, 24 - r : 48 - r] for d in range(-2, 3) for r in range(-3, 4)]
    matches = is_one_of(only("whole_translation").draw(RANDOM, (1, 16, 24), 1.0)(images), *moved)
    assert sum(bool(some.any()) for some in matches) > 15


def test_probability_is_that_of_each_operation():
    count = 4096
    random = Random(0, 0, count)
    images = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).expand(count, 1, 8, 8)
    for name, effective in (("scale", 1), ("rotation", 1), ("brightness", 1), ("flip", 1 / 2), ("luma_flip", 1 / 2)):
        outcome = only(name).draw(random, (1, 8, 8), 0.3)(images)
        share = ((outcome - images).abs().amax((1, 2, 3)) > 1e-5).float().mean().item()
        assert share == pytest.approx(0.3 * effective, abs=0.03)


def test_movements_are_inverse_and_in_order():
    """A point that is scaled and then moved is found by moving back and then scaling back."""
    two = torch.tensor([2.0])
    there = translation(3 * two, 0 * two) @ scaling(two, two)
    back = scaling(1 / two, 1 / two) @ translation(-3 * two, 0 * two)
    torch.testing.assert_close(back @ there, torch.eye(3)[None])
    turned = rotation(torch.tensor([math.pi / 2])) @ torch.tensor([1.0, 0, 1])
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1, 1]]), atol=1e-6, rtol=0)


def test_shrinking_averages_where_enlarging_interpolates():
    stripes = torch.tensor([1.0, -1]).repeat(16).expand(1, 1, 32, 32)
    half = scaling(torch.tensor([2.0]), torch.tensor([2.0]))  # from outcome to picture: the picture at half size
    assert resample(stripes, sampling_grid(half, 32, 32))[:, :, 10:22, 10:22].abs().max() < 1e-5
    bright = torch.full((1, 1, 8, 8), 0.7)
    for matrix in (half, rotation(torch.tensor([0.3])), translation(torch.tensor([5.0]), torch.tensor([-20.0]))):
        torch.testing.assert_close(resample(bright, sampling_grid(matrix, 8, 8)), bright)


# Colours of AdaptiveAugment


def matrix_of_the_paper(b: float, c: float, luma: float, hue: float, s: float) -> Tensor:
    """The product of 4x4 matrices in appendix B of Karras et al. 2020, operation by operation."""
    v = torch.tensor([1.0, 1, 1, 0]) / math.sqrt(3)
    axis, one = v.outer(v), torch.eye(4)
    x = v[0]
    cross = torch.tensor([[0, -x, x, 0], [x, 0, -x, 0], [-x, x, 0, 0], [0, 0, 0, 0]])
    brightness = one.clone()
    brightness[:3, 3] = b
    contrast = torch.diag(torch.tensor([c, c, c, 1]))
    flip = one - 2 * axis if luma < 0 else one
    constant = torch.diag(torch.tensor([0.0, 0, 0, 1]))
    rest = one - constant - axis
    turn = constant + axis + math.cos(hue) * rest + math.sin(hue) * cross  # Rodrigues' formula
    saturation = axis + (one - axis - constant) * s + constant
    return saturation @ turn @ flip @ contrast @ brightness


VALUES = (0.3, 1.7, -1.0, 2.1, 0.4)


def colour(*values: float) -> Colour:
    return Colour(*(torch.tensor([value]) for value in values))


def test_colours_equal_the_matrices_of_the_paper():
    images = pictures(3, 5, 5, count=1)
    homogeneous = torch.cat([images, torch.ones(1, 1, 5, 5)], dim=1)
    for values in (VALUES, (-0.2, 0.6, 1.0, -3.0, 2.0)):
        expected = torch.einsum("ij,njhw->nihw", matrix_of_the_paper(*values), homogeneous)[:, :3]
        torch.testing.assert_close(colour(*values)(images), expected, atol=1e-5, rtol=1e-5)


def test_grey_pictures_get_what_grey_pixels_of_colour_pictures_get():
    grey = pictures(1, 5, 5, count=1)
    torch.testing.assert_close(colour(*VALUES)(grey), colour(*VALUES)(grey.expand(1, 3, 5, 5))[:, :1])


def test_known_colours():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    green = torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1)
    third = colour(0.0, 1.0, 1.0, 2 * math.pi / 3, 1.0)
    torch.testing.assert_close(third(red), green, atol=1e-6, rtol=0)
    torch.testing.assert_close(colour(0.0, 1.0, 1.0, 0.0, 0.0)(red), torch.full((1, 3, 1, 1), 1 / 3))
    torch.testing.assert_close(colour(0.1, 2.0, -1.0, 0.0, 1.0)(torch.full((1, 1, 1, 1), 0.4)).item(), -1.0)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_keeps_its_values(channels):
    images = pictures(channels, 8, 8)
    augmentation = only("brightness", "contrast", "luma_flip", "hue", "saturation")
    outcome = augmentation.draw(RANDOM, (channels, 8, 8), 1.0)(images)
    torch.testing.assert_close(outcome[:, -1], images[:, -1], atol=1e-5, rtol=0)
    assert not torch.allclose(outcome[:, 0], images[:, 0], atol=0.1)


# The controller


def test_the_controller_moves_as_computed_by_hand():
    controller = AdaController(0.6, 1000, interval=2)
    moves = [(1.0, 0.0), (0.4, 0.02), (0.5, 0.02), (0.5, 0.0), (0.9, 0.0), (0.9, 0.02)]
    for sign, expected in moves:
        controller.update(torch.tensor(sign), 10)
        assert controller.p == pytest.approx(expected, abs=1e-12)


def test_the_controller_takes_its_images_from_zero_to_one_and_stays():
    controller = AdaController(0.6, 640)
    for _ in range(40):
        controller.update(torch.tensor(1.0), 16)
    assert controller.p == pytest.approx(1)
    for _ in range(4):
        controller.update(torch.tensor(1.0), 16)
    assert controller.p == 1


def test_the_controller_goes_on_exactly_from_json():
    signs = torch.rand(50, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.5
    whole, half = AdaController(0.6, 10_000), AdaController(0.6, 10_000)
    for sign in signs[:27]:
        half.update(sign, 48)
    resumed = AdaController(0.6, 10_000)
    resumed.restore(json.loads(json.dumps(half.state())))
    for sign in signs:
        whole.update(sign, 48)
    for sign in signs[27:]:
        resumed.update(sign, 48)
    assert resumed.state() == whole.state()
    assert whole.p > 0


def test_the_relativistic_target_goes_with_the_papers():
    """Logits N(m, 1) and N(-m, 1) with 80 % of the real ones above zero, drawn: the mean sign of their differences."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 200_000, generator=generator)
    m = torch.distributions.Normal(0, 1).icdf(torch.tensor(0.8))
    assert torch.sign(real + m).mean().item() == pytest.approx(0.6, abs=0.01)
    assert torch.sign((real + m) - (fake - m)).mean().item() == pytest.approx(RELATIVISTIC_TARGET, abs=0.01)


@pytest.mark.parametrize("settings", [{"target": 1.0}, {"target": 0.6, "images": 0}, {"target": 0.6, "interval": 0}])
def test_impossible_controllers_are_refused(settings):
    with pytest.raises(SettingError):
        AdaController(**settings)


# Mirroring


def test_mirroring_flips_about_half_of_any_type():
    images = torch.randint(256, (COUNT, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    outcome = mirror(images, RANDOM)
    assert outcome.dtype == torch.uint8
    flipped = (outcome == images.flip(3)).all((1, 2, 3))
    assert torch.equal(outcome[~flipped], images[~flipped])
    assert 16 < flipped.sum() < 48


def test_turns_and_mirroring_show_all_eight_symmetries_of_a_square_and_four_of_other_shapes():
    square = torch.arange(9.0).reshape(1, 1, 3, 3).expand(COUNT, -1, -1, -1)
    outcome = turned(mirror(square, RANDOM), RANDOM)
    symmetries = {
        (view if k else view.flip(1)).rot90(turn).flatten().tolist().__repr__()
        for view in (square[0, 0],)
        for k in (0, 1)
        for turn in range(4)
    }
    assert {repr(each.flatten().tolist()) for each in outcome} == symmetries
    wide = torch.arange(6.0).reshape(1, 1, 2, 3).expand(COUNT, -1, -1, -1)
    assert len({repr(each.tolist()) for each in turned(mirror(wide, RANDOM), RANDOM)}) == 4
