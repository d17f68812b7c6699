import pytest
import torch

from sparring.errors import MetricError
from sparring.networks.pixels import Pixels, reduced


def draw(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pooled(images: torch.Tensor) -> torch.Tensor:
    return Pixels().pooled(images.float() / 127.5 - 1)


def test_small_pictures_are_their_own_features():
    images = draw(300, 3, 7, 16)
    torch.testing.assert_close(pooled(images), images.flatten(1) / 255)


def test_large_pictures_are_averaged_to_sixteen_a_side():
    images = draw(2, 3, 64, 32)
    expected = torch.nn.functional.avg_pool2d(images / 255, 4).flatten(1)
    assert expected.shape == (2, 3 * 16 * 8)
    torch.testing.assert_close(pooled(images), expected)


def test_grey_pictures_have_one_number_a_pixel():
    images = draw(2, 1, 8, 8)
    assert pooled(images).shape == (2, 64)


def test_what_is_transparent_has_no_colour():
    images = torch.full((1, 4, 2, 2), 255, dtype=torch.uint8)
    images[0, 3] = torch.tensor([[255, 0], [51, 0]])
    rows = pooled(images).view(4, 2, 2)
    shares = torch.tensor([[1.0, 0.0], [0.2, 0.0]])
    torch.testing.assert_close(rows, shares.expand(4, 2, 2))


def test_sides_stay_in_proportion():
    assert reduced(16, 16) == (16, 16)
    assert reduced(92, 112) == (13, 16)
    assert reduced(1000, 10) == (16, 1)


def test_the_card_says_that_channels_and_size_are_the_pictures_own():
    card = Pixels().card
    assert (card.dimension, card.size, card.channels, card.classes) == (0, None, "as they are", 0)
    with pytest.raises(MetricError, match="pixels tells no classes apart"):
        Pixels().logits(torch.zeros(1, 3))
