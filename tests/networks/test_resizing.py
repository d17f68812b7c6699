import numpy as np
import pytest
import torch
from PIL import Image

from sparring.errors import MetricError
from sparring.networks.features import Card
from sparring.networks.resizing import area_weights, fit, resize, tensorflow_weights

FILTERS = {"bicubic antialiased": Image.Resampling.BICUBIC, "bilinear antialiased": Image.Resampling.BILINEAR}


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize(("before", "after"), [((100, 100), (128, 128)), ((37, 80), (20, 31)), ((5, 9), (64, 4))])
def test_antialiased_filters_are_those_of_pillow(how, before, after):
    pictures = draw(2, 3, *before)
    resized = resize(pictures, after, how)
    for picture, expected in zip(resized.flatten(0, 1).numpy(), pictures.flatten(0, 1).numpy(), strict=True):
        image = Image.fromarray(expected).resize(after[::-1], FILTERS[how])
        np.testing.assert_allclose(picture, np.asarray(image), atol=1e-5)


def test_tensorflow_takes_values_at_multiples_of_the_ratio_without_averaging():
    row = torch.tensor([[[[0.0, 1.0, 4.0]]]])
    # Places 0, 0.6, 1.2, 1.8, 2.4; the last is beyond the last pixel.
    enlarged = resize(row, (1, 5), "bilinear TensorFlow 1")
    torch.testing.assert_close(enlarged[0, 0, 0], torch.tensor([0, 0.6, 1.6, 3.4, 4.0]))
    # To half the size, every other pixel is lost.
    halved = resize(torch.arange(8.0).view(1, 1, 1, 8), (1, 4), "bilinear TensorFlow 1")
    assert halved.flatten().tolist() == [0, 2, 4, 6]


def test_tensorflow_treats_rows_and_columns_alike():
    pictures = draw(1, 2, 7, 11)
    there = resize(pictures, (20, 5), "bilinear TensorFlow 1")
    turned = resize(pictures.transpose(2, 3), (5, 20), "bilinear TensorFlow 1").transpose(2, 3)
    torch.testing.assert_close(there, turned)


@pytest.mark.parametrize("weights", [area_weights, tensorflow_weights])
@pytest.mark.parametrize(("size", "new"), [(299, 32), (7, 7), (3, 16), (1, 4)])
def test_constant_pictures_stay_constant(weights, size, new):
    torch.testing.assert_close(weights(size, new).sum(1), torch.ones(new))


def test_area_averages_blocks_where_sides_divide():
    pictures = draw(2, 3, 12, 8)
    expected = torch.nn.functional.avg_pool2d(pictures, (3, 4))
    torch.testing.assert_close(resize(pictures, (4, 2), "area"), expected)


def test_area_counts_pixels_by_the_part_that_is_covered():
    row = torch.tensor([[[[3.0, 6.0, 12.0]]]])
    torch.testing.assert_close(resize(row, (1, 2), "area").flatten(), torch.tensor([4.0, 10.0]))


@pytest.mark.parametrize("how", ["bicubic antialiased", "bilinear antialiased", "bilinear TensorFlow 1", "area"])
def test_gradients_are_those_of_a_linear_map(how):
    pictures = draw(1, 1, 6, 7).double().requires_grad_()
    resized = resize(pictures, (4, 9), how)
    assert resized.dtype == torch.float64
    torch.autograd.gradcheck(lambda x: resize(x, (4, 9), how), pictures, atol=1e-4)


def card(size: tuple[int, int] | None, how: str) -> Card:
    return Card("x", "x", 1, size, how, "x", "x", "x")


def test_overshoot_is_cut_off_for_a_network():
    edge = torch.cat([torch.full((1, 3, 8, 4), -1.0), torch.full((1, 3, 8, 4), 1.0)], 3)
    assert resize(edge, (32, 32), "bicubic antialiased").abs().max() > 1.01
    assert fit(edge, card((32, 32), "bicubic antialiased")).abs().max() == 1


def test_pictures_keep_a_size_that_is_right_or_free():
    pictures = draw(1, 3, 8, 8)
    assert fit(pictures, card(None, "none")) is pictures
    assert torch.equal(fit(pictures, card((8, 8), "bilinear TensorFlow 1")), pictures)
    with pytest.raises(MetricError, match="8x8 pixels; this network takes 9x8"):
        resize(pictures, (9, 8), "none")
